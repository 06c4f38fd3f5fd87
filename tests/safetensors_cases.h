// Safetensors files that conform and that attack: the tests and attacks of the reference implementation, then ours.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "train/safetensors.h"

namespace gesso::safetensors_cases {

using namespace std::string_literals;

inline std::string length_word(std::uint64_t length) {
  std::string word(8, '\0');
  std::memcpy(word.data(), &length, 8);
  return word;
}
inline std::string file_of(const std::string& header, const std::string& data = "") {
  return length_word(header.size()) + header + data;
}

struct Case {
  const char* title;
  std::string content;
  std::vector<std::string> words;  // of the error; none: the file is good
  bool only_here = false;          // the reference implementation takes it
};

// A tensor's entry with the given fields.
inline std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                          const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}";
}
inline std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                       const std::string& data) {
  return file_of("{" + tensor("x", dtype, shape, offsets) + "}", data);
}
inline std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

inline std::vector<Case> length_and_text_cases() {
  const std::string good = tensor("x", "I32", "1", "0,4");
  return {
      {"empty file", "", {"0 bytes are too few"}},
      {"seven bytes", "\0\0\0\0\0\0\0"s, {"7 bytes are too few"}},
      {"header length above the limit", length_word(100'000'001), {"100000001", "above the limit of 100000000"}},
      {"header length of all ones", std::string(8, '\xFF') + "{}", {"above the limit"}},
      {"header length at the limit, beyond the file", length_word(100'000'000) + "{}", {"only 2 behind"}},
      {"header length beyond the file", length_word(60) + "{}", {"said to have 60", "only 2 behind"}},
      {"header one byte longer than the file", length_word(3) + "{}", {"said to have 3", "only 2 behind"}},
      {"no header", length_word(0), {"not JSON"}},
      {"header that is no UTF-8", file_of("\xFF"), {"not valid UTF-8"}},
      {"name that is no UTF-8",
       file_of("{" + tensor("\xC0\x80", "I32", "1", "0,4") + "}", "1234"),
       {"not valid UTF-8"}},
      {"half a surrogate pair as an escape",
       file_of("{" + tensor("\\ud800", "I32", "1", "0,4") + "}", "1234"),
       {"not JSON"}},
      {"control character in a name", file_of("{" + tensor("a\nb", "I32", "1", "0,4") + "}", "1234"), {"not JSON"}},
      {"surrogate in UTF-8", file_of("{\"\xED\xA0\x80\":1}"), {"not valid UTF-8"}},
      {"character above U+10FFFF", file_of("{\"\xF4\x90\x80\x80\":1}"), {"not valid UTF-8"}},
      {"cut-off UTF-8", file_of("{\"a\xE2\x82"), {"not valid UTF-8"}},
      {"one brace", file_of("{"), {"not JSON"}},
      {"trailing comma", file_of("{" + good + ",}", "1234"), {"not JSON"}},
      {"text behind the object", file_of("{}x"), {"not JSON"}},
      {"second object", file_of("{}{}"), {"not JSON"}},
      {"NUL behind the object", file_of("{}\0junk"s), {"NUL byte"}},
      {"byte order mark", file_of("\xEF\xBB\xBF{}"), {"byte order mark"}},
      {"comment", file_of("{/* */}"), {"not JSON"}},
      {"list", file_of("[]"), {"expected a JSON object, got a list"}},
      {"number", file_of("1"), {"expected a JSON object, got a number"}},
      {"null", file_of("null"), {"expected a JSON object, got null"}},
      {"hundred thousand open brackets", file_of(repeated("[", 100'000)), {"expected a JSON object"}},
      {"hundred thousand open objects", file_of(repeated("{\"a\":", 100'000)), {"tensor 'a'", "unknown field 'a'"}},
      {"no tensors", file_of("{}"), {}},
      {"metadata alone", file_of(R"({"__metadata__":{"format":"pt"}})"), {}},
      {"metadata of nothing", file_of(R"({"__metadata__":{}})"), {}},
      {"metadata behind the tensors", file_of("{" + good + R"(,"__metadata__":{"a":"b"}})", "1234"), {}},
      {"letters as escapes", file_of("{" + tensor("\\u00e4\\ud83d\\ude00", "I32", "1", "0,4") + "}", "1234"), {}},
      {"trailing whitespace", file_of("{" + good + "}  \n\t ", "1234"), {}},
      {"leading whitespace", file_of(" \n\t {" + good + "}", "1234"), {}},
      {"no tensors but data", file_of("{}", "1"), {"need 0 bytes of data but the file holds 1"}},
  };
}

inline std::vector<Case> entry_cases() {
  return {
      {"tensor that is a number", file_of(R"({"x":1})"), {"'x'", "expected an object, got a number"}},
      {"tensor that is a list", file_of(R"({"x":[]})"), {"'x'", "expected an object, got a list"}},
      {"tensor that is text", file_of(R"({"x":"F32"})"), {"'x'", "expected an object, got text"}},
      {"tensor that is null", file_of(R"({"x":null})"), {"'x'", "expected an object, got null"}},
      {"tensor that is true", file_of(R"({"x":true})"), {"'x'", "expected an object, got a truth value"}},
      {"tensor of nothing", file_of(R"({"x":{}})"), {"'x'", "dtype is missing"}},
      {"dtype missing", file_of(R"({"x":{"shape":[],"data_offsets":[0,4]}})", "1234"), {"dtype is missing"}},
      {"shape missing", file_of(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", "1234"), {"shape is missing"}},
      {"offsets missing", file_of(R"({"x":{"dtype":"F32","shape":[]}})", "1234"), {"data_offsets is missing"}},
      {"unknown field", file_of(R"({"x":{"dtype":"F32","size":1}})"), {"'x'", "unknown field 'size'"}},
      {"nested field", file_of(R"({"x":{"shape":{"a":1}}})"), {"shape: expected", "got an object"}},
      {"nested dimension", file_of(R"({"x":{"shape":[[1]]}})"), {"shape: expected", "got a list"}},
      {"dtype twice", file_of(R"({"x":{"dtype":"F32","dtype":"F32"}})"), {"'x'", "dtype is there twice"}},
      {"shape twice", file_of(R"({"x":{"shape":[1],"shape":[1]}})"), {"shape is there twice"}},
      {"offsets twice",
       file_of(R"({"x":{"data_offsets":[0,1],"data_offsets":[0,1]}})"),
       {"data_offsets is there twice"}},
      {"dtype that is null", file_of(R"({"x":{"dtype":null}})"), {"dtype: expected", "got null"}},
      {"dtype that is empty", one("", "1", "0,4", "1234"), {"dtype '' is unknown"}},
      {"shape that is a number", file_of(R"({"x":{"shape":4}})"), {"shape: expected", "got a number"}},
      {"shape that is text", file_of(R"({"x":{"shape":"4"}})"), {"shape: expected", "got text"}},
      {"offsets that are an object", file_of(R"({"x":{"data_offsets":{}}})"), {"data_offsets: expected"}},
      {"unknown dtype", one("F128", "1", "0,16", repeated("1", 16)), {"'x'", "dtype 'F128' is unknown"}},
      {"dtype in lower case", one("f32", "1", "0,4", "1234"), {"dtype 'f32' is unknown"}},
      {"dtype that is a number", file_of(R"({"x":{"dtype":1}})"), {"dtype: expected", "got a number"}},
      {"fractional dimension", one("F32", "1.0", "0,4", "1234"), {"shape: expected", "whole numbers", "1.0"}},
      {"dimension with exponent", one("F32", "1e0", "0,4", "1234"), {"shape: expected", "1e0"}},
      {"negative dimension", one("F32", "-1", "0,4", "1234"), {"shape: expected", "negative number -1"}},
      {"dimension that is text", one("F32", "\"1\"", "0,4", "1234"), {"shape: expected", "got text"}},
      {"dimension that is null", one("F32", "null", "0,4", "1234"), {"shape: expected", "got null"}},
      {"dimension that is true", one("F32", "true", "0,4", "1234"), {"shape: expected", "got a truth value"}},
      {"negative offset", one("F32", "1", "-4,0", "1234"), {"data_offsets: expected", "negative number -4"}},
      {"fractional offset", one("F32", "1", "0.0,4", "1234"), {"data_offsets: expected", "0.0"}},
      {"offset with exponent", one("F32", "1", "0,4e0", "1234"), {"data_offsets: expected", "4e0"}},
      {"offset that is text", one("F32", "1", R"(0,"4")", "1234"), {"data_offsets: expected", "got text"}},
      {"offset that is minus zero", one("F32", "1", "-0,4", "1234"), {"data_offsets: expected"}},
      {"offset with a leading zero", one("F32", "1", "00,4", "1234"), {"not JSON"}},
      {"one offset", one("F32", "1", "4", "1234"), {"data_offsets: expected", "got one number"}},
      {"no offsets", one("F32", "1", "", "1234"), {"data_offsets", "got an empty list"}},
      {"three offsets", one("F32", "1", "0,4,4", "1234"), {"data_offsets: expected", "a third number"}},
      {"offset above 64 bits",
       one("F32", "1", "0,18446744073709551620", "1234"),
       {"data_offsets: expected", "18446744073709551620"}},
      {"metadata that is text", file_of(R"({"__metadata__":"x"})"), {"__metadata__", "expected an object"}},
      {"metadata value that is a number", file_of(R"({"__metadata__":{"a":1}})"), {"metadata 'a'", "got a number"}},
      {"metadata value that is an object", file_of(R"({"__metadata__":{"a":{}}})"), {"metadata 'a'", "got an object"}},
      {"metadata value that is a list", file_of(R"({"__metadata__":{"a":[]}})"), {"metadata 'a'", "got a list"}},
      {"metadata value that is null", file_of(R"({"__metadata__":{"a":null}})"), {"metadata 'a'", "got null"}},
      {"metadata that is a list", file_of(R"({"__metadata__":[]})"), {"__metadata__", "expected an object"}},
      {"metadata that is a tensor",
       file_of("{" + tensor("__metadata__", "U8", "1", "0,1") + "}", "1"),
       {"metadata 'shape'", "got a list"}},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), {"__metadata__ is there twice"}},
      {"metadata key twice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), {"key 'a' twice"}, /*only_here=*/true},
      {"tensor twice",
       file_of("{" + tensor("x", "U8", "1", "0,1") + "," + tensor("x", "U8", "1", "1,2") + "}", "12"),
       {"tensor 'x' is there twice"}},
      {"tensor twice by an escape",
       file_of("{" + tensor("x", "U8", "1", "0,1") + "," + tensor("\\u0078", "U8", "1", "1,2") + "}", "12"),
       {"tensor 'x' is there twice"}},
  };
}

inline std::string many_of_one_region() {
  std::string entries = tensor("first", "U8", "2", "0,2");
  for (int i = 0; i < 10'000; ++i) entries += "," + tensor(std::to_string(i), "U8", "2", "0,2");
  return entries;
}
// A tensor of four elements of each type.
inline std::string every_type() {
  std::string entries, data;
  for (int i = 0; i <= static_cast<int>(SafetensorsDType::u64); ++i) {
    const auto dtype = static_cast<SafetensorsDType>(i);
    const std::string name(name_of(dtype)), begin = std::to_string(data.size());
    data.resize(data.size() + 4 * bits_of(dtype) / 8, 'd');
    entries += (i > 0 ? "," : "") + tensor(name, name, "4", begin + "," + std::to_string(data.size()));
  }
  return file_of("{" + entries + "}", data);
}

inline std::vector<Case> offset_cases() {
  const std::string a = tensor("a", "U8", "2", "0,2");
  return {
      {"extra bytes", one("I32", "1", "0,4", "12345"), {"need 4 bytes", "holds 5"}},
      {"two bytes missing", one("I32", "1", "0,4", "12"), {"need 4 bytes", "holds 2"}},
      {"data out of the file", one("I32", "1", "1000,1004", "1234"), {"must begin at 0"}},
      {"span larger than the shape",
       one("I32", "2,2", "0,20", repeated("1", 20)),
       {"20 bytes", "[2,2] of I32 needs 16"}},
      {"span smaller than the shape", one("I32", "2,2", "0,4", "1234"), {"4 bytes", "needs 16"}},
      {"end before begin", one("I32", "1", "4,0", "1234"), {"end before they begin"}},
      {"first tensor not at 0", one("U8", "2", "1,3", "123"), {"must begin at 0"}},
      {"hole", file_of("{" + a + "," + tensor("b", "U8", "1", "3,4") + "}", "1234"), {"'b'", "must begin at 2"}},
      {"overlap", file_of("{" + a + "," + tensor("b", "U8", "2", "1,3") + "}", "123"), {"'b'", "must begin at 2"}},
      {"same region twice",
       file_of("{" + a + "," + tensor("b", "U8", "2", "0,2") + "}", "12"),
       {"'b'", "must begin at 2"}},
      {"same region ten thousand times", file_of("{" + many_of_one_region() + "}", "12"), {"must begin at 2"}},
      {"offsets at the end of 64 bits",
       one("U8", "1", "18446744073709551614,18446744073709551615", "1"),
       {"must begin at 0"}},
      {"end at the end of 64 bits", one("U8", "1", "0,18446744073709551615", "1"), {"18446744073709551615 bytes"}},
      {"bytes of a tensor of no elements", one("F32", "0", "0,4", "1234"), {"4 bytes", "[0] of F32 needs 0"}},
      {"no elements where no data end",
       file_of("{" + a + "," + tensor("b", "F32", "0", "1,1") + "}", "12"),
       {"'b'", "must begin at"}},
      {"shape overflows", one("U8", "2,9223372036854775807,2", "0,4", "1234"), {"size of its shape overflows"}},
      {"shape times bits overflows",
       one("F64", "2305843009213693952", "0,8", "12345678"),
       {"size of its shape overflows"}},
      {"dimension overflows",
       one("U8", "2,18446744073709551614", "0,4", "1234"),
       {"'x'", "18446744073709551614 overflows"}},
      {"half a byte", one("F4", "3", "0,2", "12"), {"no whole number of bytes"}},
      {"six bits", one("F6_E2M3", "2", "0,2", "12"), {"no whole number of bytes"}},
      {"whole bytes of four bits", one("F4", "4", "0,2", "12"), {}},
      {"whole bytes of six bits", one("F6_E3M2", "4", "0,3", "123"), {}},
      {"rank 0", one("F32", "", "0,4", "1234"), {}},
      {"no elements", one("F32", "3,0,2", "0,0", ""), {}},
      {"no elements, and dimensions that would overflow behind them",
       one("F32", "0,9223372036854775807,9223372036854775807", "0,0", ""),
       {}},
      {"no elements, but dimensions that overflow before",
       one("F32", "9223372036854775807,9223372036854775807,0", "0,0", ""),
       {"size of its shape overflows"}},
      {"two of no elements at one place",
       file_of("{" + tensor("b", "F32", "0", "0,0") + "," + tensor("c", "F32", "0", "0,0") + "}", ""),
       {}},
      {"every type", every_type(), {}},
      {"values that are not finite", one("F32", "2", "0,8", "\x00\x00\xC0\x7F\x00\x00\x80\xFF"s), {}},
      {"no elements between others",
       file_of("{" + a + "," + tensor("b", "F32", "0", "2,2") + "," + tensor("c", "U8", "1", "2,3") + "}", "123"),
       {}},
      {"header in another order than the data",
       file_of("{" + tensor("b", "U8", "1", "2,3") + "," + a + "}", "123"),
       {}},
      {"rank 20", one("U8", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2", "0,2", "12"), {}},
      {"path-like name", file_of("{" + tensor("../../x", "U8", "1", "0,1") + "}", "1"), {}},
      {"NUL in a name, escaped", file_of("{" + tensor("a\\u0000b", "U8", "1", "0,1") + "}", "1"), {}},
      {"empty name", file_of("{" + tensor("", "U8", "1", "0,1") + "}", "1"), {}},
      {"name of a megabyte", file_of("{" + tensor(std::string(1 << 20, 'n'), "U8", "1", "0,1") + "}", "1"), {}},
      {"bad entry with a name of a megabyte",
       file_of("{" + tensor(std::string(1 << 20, 'n'), "U8", "2", "0,1") + "}", "1"),
       {"nnn... (1048576 bytes)", "1 bytes of data"}},
  };
}

inline std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& cases : {length_and_text_cases(), entry_cases(), offset_cases()})
    all.insert(all.end(), cases.begin(), cases.end());
  return all;
}

}  // namespace gesso::safetensors_cases
