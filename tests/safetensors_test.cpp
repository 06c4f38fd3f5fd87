#include "train/safetensors.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

using namespace std::string_literals;

std::string length_word(std::uint64_t length) {
  std::string word(8, '\0');
  std::memcpy(word.data(), &length, 8);
  return word;
}
std::string file_of(const std::string& header, const std::string& data = "") {
  return length_word(header.size()) + header + data;
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

struct Case {
  const char* title;
  std::string content;
  std::vector<std::string> words;  // of the error; none: the file is good
};

// A tensor's entry with the given fields.
std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}";
}
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                const std::string& data) {
  return file_of("{" + tensor("x", dtype, shape, offsets) + "}", data);
}
std::string repeated(const std::string& part, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += part;
  return text;
}

// The tests and attacks of the reference implementation, then ours.
std::vector<Case> length_and_text_cases() {
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
      {"trailing whitespace", file_of("{" + good + "}  \n\t ", "1234"), {}},
      {"leading whitespace", file_of(" \n\t {" + good + "}", "1234"), {}},
      {"no tensors but data", file_of("{}", "1"), {"need 0 bytes of data but the file holds 1"}},
  };
}

std::vector<Case> entry_cases() {
  return {
      {"tensor that is a number", file_of(R"({"x":1})"), {"'x'", "expected an object, got a number"}},
      {"tensor that is a list", file_of(R"({"x":[]})"), {"'x'", "expected an object, got a list"}},
      {"dtype missing", file_of(R"({"x":{"shape":[],"data_offsets":[0,4]}})", "1234"), {"dtype is missing"}},
      {"shape missing", file_of(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", "1234"), {"shape is missing"}},
      {"offsets missing", file_of(R"({"x":{"dtype":"F32","shape":[]}})", "1234"), {"data_offsets is missing"}},
      {"unknown field", file_of(R"({"x":{"dtype":"F32","size":1}})"), {"'x'", "unknown field 'size'"}},
      {"nested field", file_of(R"({"x":{"shape":{"a":1}}})"), {"shape: expected", "got an object"}},
      {"nested dimension", file_of(R"({"x":{"shape":[[1]]}})"), {"shape: expected", "got a list"}},
      {"dtype twice", file_of(R"({"x":{"dtype":"F32","dtype":"F32"}})"), {"'x'", "dtype is there twice"}},
      {"shape twice", file_of(R"({"x":{"shape":[1],"shape":[1]}})"), {"shape is there twice"}},
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
      {"one offset", one("F32", "1", "4", "1234"), {"data_offsets: expected", "got one number"}},
      {"no offsets", one("F32", "1", "", "1234"), {"data_offsets", "got an empty list"}},
      {"three offsets", one("F32", "1", "0,4,4", "1234"), {"data_offsets: expected", "a third number"}},
      {"offset above 64 bits",
       one("F32", "1", "0,18446744073709551620", "1234"),
       {"data_offsets: expected", "18446744073709551620"}},
      {"metadata that is text", file_of(R"({"__metadata__":"x"})"), {"__metadata__", "expected an object"}},
      {"metadata value that is a number", file_of(R"({"__metadata__":{"a":1}})"), {"metadata 'a'", "got a number"}},
      {"metadata value that is an object", file_of(R"({"__metadata__":{"a":{}}})"), {"metadata 'a'", "got an object"}},
      {"metadata twice", file_of(R"({"__metadata__":{},"__metadata__":{}})"), {"__metadata__ is there twice"}},
      {"metadata key twice", file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), {"key 'a' twice"}},
      {"tensor twice",
       file_of("{" + tensor("x", "U8", "1", "0,1") + "," + tensor("x", "U8", "1", "1,2") + "}", "12"),
       {"tensor 'x' is there twice"}},
      {"tensor twice by an escape",
       file_of("{" + tensor("x", "U8", "1", "0,1") + "," + tensor("\\u0078", "U8", "1", "1,2") + "}", "12"),
       {"tensor 'x' is there twice"}},
  };
}

std::vector<Case> offset_cases() {
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

void check_cases(const std::vector<Case>& cases) {
  TemporaryDirectory directory;
  for (const Case& c : cases) {
    INFO(c.title);
    const Path path = directory.write("case.safetensors", c.content);
    if (c.words.empty()) {
      CHECK_NOTHROW(SafetensorsFile{path});
      continue;
    }
    std::vector<std::string> words = c.words;
    words.push_back("case.safetensors");
    expect_error(ErrorKind::data, words, [&] { SafetensorsFile file(path); });
  }
}

SafetensorsEntry entry(const std::string& name, SafetensorsDType dtype, std::vector<std::int64_t> shape,
                       const std::string& data) {
  return {name, dtype, std::move(shape), bytes_of(data)};
}

TEST_SUITE("safetensors") {
  TEST_CASE("header lengths and texts are accepted and refused as the format says") {
    check_cases(length_and_text_cases());
  }
  TEST_CASE("entries are accepted and refused as the format says") { check_cases(entry_cases()); }
  TEST_CASE("offsets and sizes are accepted and refused as the format says") { check_cases(offset_cases()); }

  TEST_CASE("a file is written byte for byte as the reference does") {
    TemporaryDirectory directory;
    const Path path = directory / "golden.safetensors";
    const std::string f32 = "abcdefgh", u8 = "xyz", f64 = "12345678", i32 = "IIII";
    const std::vector<SafetensorsEntry> entries = {
        entry("small", SafetensorsDType::u8, {3}, u8), entry("b", SafetensorsDType::f32, {1, 2}, f32),
        entry("wide", SafetensorsDType::f64, {}, f64), entry("a\"\n", SafetensorsDType::i32, {1}, i32),
        entry("none", SafetensorsDType::f32, {0}, "")};
    write_safetensors(path, entries, {{"format", "pt"}});
    // Descending alignment, then name; the header ends in spaces up to a multiple of eight.
    const std::string header =
        R"({"__metadata__":{"format":"pt"},"wide":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
        R"("b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},)"
        R"("none":{"dtype":"F32","shape":[0],"data_offsets":[16,16]},)"
        R"("a\"\n":{"dtype":"I32","shape":[1],"data_offsets":[16,20]},)"
        R"("small":{"dtype":"U8","shape":[3],"data_offsets":[20,23]}})";
    REQUIRE(header.size() == 318);
    CHECK(read_text_file(path, 1000) == "\x40\x01\0\0\0\0\0\0"s + header + "  " + f64 + f32 + i32 + u8);
  }

  TEST_CASE("what is written is read back, and the metadata with it") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 50; ++round) {
      std::vector<std::string> data;
      std::vector<SafetensorsEntry> entries;
      const auto count = static_cast<std::size_t>(random() % 20);
      data.reserve(count);
      for (std::size_t i = 0; i < count; ++i) {
        const auto dtype = static_cast<SafetensorsDType>(random() % 22);
        std::vector<std::int64_t> shape(random() % 8);
        std::size_t elements = 8;  // a last dimension of 8 makes whole bytes of any type
        for (std::int64_t& dim : shape)
          elements *= static_cast<std::size_t>(dim = static_cast<std::int64_t>(random() % 4));
        shape.push_back(8);
        std::string& bytes = data.emplace_back(elements * bits_of(dtype) / 8, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        entries.push_back(entry("\u00e4/" + std::to_string(random()), dtype, shape, bytes));
      }
      const SafetensorsMetadata metadata = {{"step", std::to_string(round)}, {"\"quoted\"\n", "\u20ac"}};
      write_safetensors(path, entries, metadata);
      const SafetensorsFile file(path);
      REQUIRE(file.entries().size() == count);
      CHECK(file.metadata() == metadata);
      for (const SafetensorsEntry& wrote : entries) {
        const SafetensorsEntry& got = file.at(wrote.name);
        CHECK(got.dtype == wrote.dtype);
        CHECK(got.shape == wrote.shape);
        CHECK(std::ranges::equal(got.data, wrote.data));
      }
    }
  }

  TEST_CASE("data are aligned to their element type, in the file and in memory") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    const std::string byte = "b", eight = "12345678";
    const std::vector<SafetensorsEntry> entries = {entry("a", SafetensorsDType::u8, {1}, byte),
                                                   entry("b", SafetensorsDType::f32, {2}, eight),
                                                   entry("c", SafetensorsDType::i64, {1}, eight)};
    write_safetensors(path, entries);
    std::uint64_t header = 0;
    std::memcpy(&header, read_file(path, 1000).data(), 8);
    CHECK(header % 8 == 0);
    const SafetensorsFile file(path);
    for (const SafetensorsEntry& e : file.entries())
      CHECK(reinterpret_cast<std::uintptr_t>(e.data.data()) % (bits_of(e.dtype) / 8) == 0);
  }

  TEST_CASE("the writer refuses what a reader would refuse, and leaves the old file") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    write_file_atomically(path, "old");
    const std::string four = "1234";
    const auto refused = [&](const std::vector<SafetensorsEntry>& entries, const SafetensorsMetadata& metadata,
                             const std::vector<std::string>& words) {
      expect_error(ErrorKind::usage, words, [&] { write_safetensors(path, entries, metadata); });
      CHECK(read_text_file(path, 10) == "old");
    };
    const SafetensorsEntry good = entry("x", SafetensorsDType::f32, {1}, four);
    refused({good, good}, {}, {"'x' twice"});
    refused({entry("__metadata__", SafetensorsDType::f32, {1}, four)}, {}, {"format's own"});
    refused({entry("x", SafetensorsDType::f32, {-1}, four)}, {}, {"negative"});
    refused({entry("x", SafetensorsDType::f32, {2}, four)}, {}, {"'x'", "needs 8 bytes, given 4"});
    refused({entry("x", SafetensorsDType::f4, {3}, four)}, {}, {"whole number of bytes"});
    refused({entry("x", SafetensorsDType::u8, {1L << 40, 1L << 40}, four)}, {}, {"overflows"});
    refused({entry("\xFF", SafetensorsDType::f32, {1}, four)}, {}, {"UTF-8"});
    refused({good}, {{"a", "\xC3"}}, {"UTF-8"});
    refused({good}, {{"a", std::string(100'000'000, 'x')}}, {"above the limit of 100000000"});
  }

  TEST_CASE("a file is replaced while its old content is mapped") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    const std::string before(4096, 'a'), after(4096, 'b');
    write_safetensors(path, std::vector{entry("x", SafetensorsDType::u8, {4096}, before)});
    const std::string old = read_text_file(path, 10'000);
    const int descriptor = open(path.c_str(), O_RDONLY);
    void* mapped = mmap(nullptr, old.size(), PROT_READ, MAP_SHARED, descriptor, 0);
    close(descriptor);
    REQUIRE(mapped != MAP_FAILED);
    write_safetensors(path, std::vector{entry("x", SafetensorsDType::u8, {4096}, after)});
    CHECK(std::memcmp(mapped, old.data(), old.size()) == 0);
    munmap(mapped, old.size());
    CHECK(SafetensorsFile(path).at("x").data[0] == std::byte{'b'});
  }

  TEST_CASE("a tensor that is not there is reported with the nearest name") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    write_safetensors(path, std::vector{entry("encoder.conv1.weight", SafetensorsDType::u8, {0}, ""),
                                        entry("decoder.conv1.bias", SafetensorsDType::u8, {0}, "")});
    const SafetensorsFile file(path);
    CHECK(file.find("encoder.conv1") == nullptr);
    expect_error(ErrorKind::data, {"a.safetensors", "no tensor 'encoder.conv2.weight'", "'encoder.conv1.weight'"},
                 [&] { file.at("encoder.conv2.weight"); });
  }

  TEST_CASE("entries convert to and from the types of core, others with a clear error") {
    for (DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32, DType::i64, DType::u8, DType::u16}) {
      CHECK(core_dtype(safetensors_dtype(dtype)) == dtype);
      CHECK(bits_of(safetensors_dtype(dtype)) == 8 * size_of(dtype));
      const Spec spec{{2, 3}, dtype};
      CHECK(safetensors_entry("x", spec, {}).spec() == spec);
    }
    CHECK_THROWS_AS(safetensors_dtype(DType::none), Error);
    expect_error(ErrorKind::data, {"'x'", "F16", "not supported"},
                 [] { entry("x", SafetensorsDType::f16, {1}, "12").spec(); });
    expect_error(ErrorKind::data, {"'x'", "7 dimensions"}, [] {
      entry("x", SafetensorsDType::u8, {1, 1, 1, 1, 1, 1, 1}, "1").spec();
    });
  }

  TEST_CASE("a file above the caller's limit is refused with the limit") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    write_file_atomically(path, file_of("{}"));
    CHECK_NOTHROW(SafetensorsFile(path, 10));
    expect_error(ErrorKind::data, {"10 bytes", "limit of 9"}, [&] { SafetensorsFile file(path, 9); });
  }

  TEST_CASE("flipped bits and cut files never do worse than an error") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    const std::string data(24, 'd');
    write_safetensors(
        path,
        std::vector{entry("a", SafetensorsDType::f32, {2, 3}, data), entry("b", SafetensorsDType::u8, {24}, data)},
        {{"key", "value"}});
    const std::string good = read_text_file(path, 1000);
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 500; ++round) {
      std::string bad = good;
      if (round % 5 == 0) bad.resize(random() % bad.size());
      for (std::uint64_t flips = random() % 3; flips > 0 && !bad.empty(); --flips)
        bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
      directory.write("a.safetensors", bad);
      try {
        const SafetensorsFile file(path);
        for (const SafetensorsEntry& e : file.entries()) CHECK(e.data.size() <= bad.size());
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::data);
      }
    }
  }

  TEST_CASE("a million tensors are read") {
    TemporaryDirectory directory;
    const Path path = directory / "a.safetensors";
    std::string header = "{", data(1'000'000, 'x');
    for (int i = 0; i < 1'000'000; ++i) {
      const std::string number = std::to_string(i);
      header += (i > 0 ? "," : "") + tensor(number, "U8", "1", number + "," + std::to_string(i + 1));
    }
    directory.write("a.safetensors", file_of(header + "}", data));
    const SafetensorsFile file(path);
    CHECK(file.entries().size() == 1'000'000);
    CHECK(file.at("999999").data.size() == 1);
  }

  TEST_CASE("data left in the file are read from any place, and are those that a whole read gives") {
    const TemporaryDirectory folder;
    const std::vector<std::int32_t> a = {1, 2, 3, 4, 5};
    const std::vector<std::uint8_t> b = {6, 7, 8};
    write_safetensors(folder / "f", {{{"b", SafetensorsDType::u8, {3}, std::as_bytes(std::span(b))},
                                      {"a", SafetensorsDType::i32, {5}, std::as_bytes(std::span(a))}}});
    SafetensorsFile file(folder / "f", SafetensorsFile::kMaxFileBytes, SafetensorsData::in_file);
    CHECK(file.at("a").data.empty());
    std::vector<std::int32_t> middle(3);
    file.read(file.at("a"), 4, std::as_writable_bytes(std::span(middle)));
    CHECK(middle == std::vector<std::int32_t>{2, 3, 4});
    std::vector<std::uint8_t> last(2);
    file.read(file.at("b"), 1, std::as_writable_bytes(std::span(last)));
    CHECK(last == std::vector<std::uint8_t>{7, 8});
    expect_error(ErrorKind::usage, {"12 bytes from byte 12 of tensor 'a', which has 20"},
                 [&] { file.read(file.at("a"), 12, std::as_writable_bytes(std::span(middle))); });
    const SafetensorsEntry copy = file.at("b");
    expect_error(ErrorKind::usage, {"tensor 'b' was not given by this file", "at()"},
                 [&] { file.read(copy, 1, std::as_writable_bytes(std::span(last))); });
    std::filesystem::resize_file(folder / "f", std::filesystem::file_size(folder / "f") - 4);
    expect_error(ErrorKind::data, {"became shorter"},
                 [&] { file.read(file.at("b"), 1, std::as_writable_bytes(std::span(last))); });
  }

  TEST_CASE("a file written piece by piece is the one written at once; less or more than announced is no file") {
    const TemporaryDirectory folder;
    const std::vector<std::int32_t> a = {1, 2, 3, 4, 5};
    const std::vector<SafetensorsEntry> entries = {{"a", SafetensorsDType::i32, {5}, std::as_bytes(std::span(a))}};
    write_safetensors(folder / "whole", entries, {{"key", "value"}});
    SafetensorsWriter writer(folder / "pieces", entries, {{"key", "value"}});
    writer.write(std::as_bytes(std::span(a).first(2)));
    expect_error(ErrorKind::usage, {"12 bytes", "missing"}, [&] { writer.commit(); });
    CHECK(!std::filesystem::exists(folder / "pieces"));
    writer.write(std::as_bytes(std::span(a).subspan(2)));
    expect_error(ErrorKind::usage, {"4 bytes more"}, [&] { writer.write(std::as_bytes(std::span(a).first(1))); });
    writer.commit();
    CHECK(read_text_file(folder / "pieces", 1000) == read_text_file(folder / "whole", 1000));
  }
}

}  // namespace
}  // namespace gesso
