#include "train/safetensors.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/safetensors_cases.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

using namespace std::string_literals;
using namespace safetensors_cases;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

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

  TEST_CASE("the cases go to whoever names a folder for them in GESSO_TEST_CASES") {
    // tools/safetensors_check asks the reference implementation about the same files.
    const char* const folder = std::getenv("GESSO_TEST_CASES");
    if (!folder) return;
    std::string list;
    int number = 0;
    for (const Case& c : all_cases()) {
      const std::string name = fmt::format("{:03}.safetensors", number++);
      write_file_atomically(Path(folder) / name, c.content);
      list += fmt::format("{}\t{}\t{}\n", name, c.words.empty() ? "good" : c.only_here ? "bad here" : "bad", c.title);
    }
    write_file_atomically(Path(folder) / "cases.txt", list);
  }

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
