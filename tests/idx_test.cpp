#include "train/idx.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/gzip.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"

namespace gesso {
namespace {

using namespace std::string_literals;

// [2,3] bytes.
const std::string kHeader = "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"s, kContent = "abcdef", kGood = kHeader + kContent;

struct Case {
  const char* title;
  std::string content;
  std::vector<std::string> words;  // of the error
};

TEST_SUITE("idx") {
  TEST_CASE("plain and packed files give the same array, whatever their names") {
    TemporaryDirectory directory;
    for (const auto& path : {directory.write("plain", kGood), directory.write("plain.gz", kGood),
                             directory.write("packed", gzip(kGood)), directory.write("packed.gz", gzip(kGood))}) {
      const IdxArray array = read_idx(path);
      CHECK(array.shape == Shape{2, 3});
      CHECK(std::string(array.values.begin(), array.values.end()) == kContent);
    }
  }

  TEST_CASE("a file packed piece by piece is read as one, in gzip and in xz") {  // RFC 1952, 2.2; cat a.xz b.xz
    TemporaryDirectory directory;
    const std::string large = "\0\0\x08\x01\0\x20\0\0"s + std::string(1 << 21, '\x05');
    const auto by_xz = [](const std::string& content) { return xz(content); };
    for (std::string (*pack)(const std::string&) : {gzip, +by_xz}) {
      for (std::size_t cut = 0; cut <= kGood.size(); ++cut) {
        const std::string pieces = pack(kGood.substr(0, cut)) + pack("") + pack(kGood.substr(cut));
        for (const std::string& end : {std::string(), pack("")}) {
          const IdxArray array = read_idx(directory.write("case.idx", pieces + end));
          CHECK(std::string(array.values.begin(), array.values.end()) == kContent);
        }
        expect_error(ErrorKind::data, {"3 bytes behind the end"},
                     [&] { read_idx(directory.write("case.idx", pieces + "xyz")); });
        expect_error(ErrorKind::data, {"more content than the 18 bytes expected"},
                     [&] { read_idx(directory.write("case.idx", pieces + pack("x"))); });
        expect_error(ErrorKind::data, {"cut off after 18"},
                     [&] { read_idx(directory.write("case.idx", pieces + pack("").substr(0, 9))); });
      }
      const std::string both = pack(large.substr(0, 1 << 20)) + pack(large.substr(1 << 20));
      CHECK(read_idx(directory.write("case.idx", both)).values == std::vector<std::uint8_t>(1 << 21, 5));
    }
  }

  TEST_CASE("one to four dimensions are read, also empty ones") {
    TemporaryDirectory directory;
    CHECK(read_idx(directory.write("a", "\0\0\x08\x01\0\0\0\x02xy"s)).shape == Shape{2});
    CHECK(read_idx(directory.write("a", "\0\0\x08\x04\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x02xy"s)).shape ==
          Shape{1, 1, 1, 2});
    CHECK(read_idx(directory.write("a", "\0\0\x08\x03\0\0\0\0\0\0\0\x1c\0\0\0\x1c"s)).values.empty());
    CHECK(read_idx(directory.write("a", "\0\0\x08\x02\xFF\xFF\xFF\xFF\0\0\0\0"s)).values.empty());
  }

  TEST_CASE("files that break a rule of the format are refused, naming it") {
    TemporaryDirectory directory;
    const std::string huge = "\0\0\x08\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s;
    const std::vector<Case> cases = {
        {"empty", "", {"ends after 0 bytes", "4 more"}},
        {"cut in the magic", "\0\0\x08"s, {"ends after 3 bytes", "1 more"}},
        {"cut in the dimensions", kHeader.substr(0, 10), {"ends after 10 bytes", "2 more"}},
        {"no IDX", "GIF89a......", {"not an IDX file", "0x47494638"}},
        {"swapped bytes", "\x02\x08\0\0"s, {"not an IDX file", "0x02080000"}},
        {"elements of another type", "\0\0\x0D\x01\0\0\0\x01"s + "1234", {"type 0x0d", "unsigned bytes (0x08)"}},
        {"no dimensions", "\0\0\x08\x00"s, {"0 dimensions; 1 to 4"}},
        {"five dimensions", "\0\0\x08\x05"s, {"5 dimensions; 1 to 4"}},
        {"one byte short", kGood.substr(0, 17), {"2x3 = 6 bytes but 5 follow"}},
        {"one byte more", kGood + "x", {"2x3 = 6 bytes but 7 follow"}},
        {"wrong count", "\0\0\x08\x02\0\0\0\x03\0\0\0\x03"s + kContent, {"3x3 = 9 bytes but 6 follow"}},
        {"empty with content", "\0\0\x08\x01\0\0\0\0x"s, {"0 = 0 bytes but 1 follow"}},
        {"count that overflows 64 bits", huge, {"4294967295x4294967295", "above the limit"}},
        {"no elements, but dimensions that overflow 63 bits beside the 0",
         "\0\0\x08\x04\xFF\xFF\xFF\xFF\xFF\xFF\x01\0\0\0\0\0\x01\xF4\xFF\xFF"s,
         {"above the limit"}},
        {"packed count that overflows 64 bits", gzip(huge), {"above the limit"}},
        {"packed, empty", gzip(""), {"ends after 0 bytes"}},
        {"packed, one byte short", gzip(kGood.substr(0, 17)), {"ends after 17 bytes", "1 more"}},
        {"packed, one byte more", gzip(kGood + "x"), {"more content than the 18 bytes expected"}},
        {"packed, cut in the checksum", gzip(kGood).substr(0, gzip(kGood).size() - 3), {"cut off after 18"}},
        {"packed, cut in the header", gzip(kGood).substr(0, 5), {"cut off after 0"}},
        {"packed, bytes appended", gzip(kGood) + "xyz", {"3 bytes behind the end"}},
        {"packed twice in a row", gzip(kGood) + gzip(kGood), {"more content than the 18 bytes expected"}},
    };
    for (const Case& c : cases) {
      INFO(c.title);
      std::vector<std::string> words = c.words;
      words.push_back("case.idx");
      expect_error(ErrorKind::data, words, [&] { read_idx(directory.write("case.idx", c.content)); });
    }
  }

  TEST_CASE("a packed file cut anywhere is refused") {
    TemporaryDirectory directory;
    const std::string packed = gzip(kGood);
    for (std::size_t size = 0; size < packed.size(); ++size)
      expect_error(ErrorKind::data, {"case.idx"},
                   [&] { read_idx(directory.write("case.idx", packed.substr(0, size))); });
  }

  TEST_CASE("a flipped bit in the packed content is found by its checksum") {
    TemporaryDirectory directory;
    std::mt19937_64 random(test_seed());
    std::string content = "\0\0\x08\x01\0\0\x10\x00"s;
    for (int i = 0; i < 4096; ++i) content += static_cast<char>(random() % 7);
    const std::string good = gzip(content);
    constexpr std::size_t kGzipHeader = 10;  // magic, method, flags, time: what they say does not all matter
    for (int round = 0; round < 200; ++round) {
      std::string bad = good;
      bad[kGzipHeader + random() % (bad.size() - kGzipHeader)] ^= static_cast<char>(1 << random() % 8);
      expect_error(ErrorKind::data, {"case.idx"}, [&] { read_idx(directory.write("case.idx", bad)); });
    }
  }

  TEST_CASE("bombs are refused by what they claim, before they are unpacked") {
    TemporaryDirectory directory;
    const IdxLimits limits{.max_bytes = 1 << 20, .max_ratio = 100, .ratio_free_bytes = 1000};
    const auto packed = [&](std::uint32_t count) {
      std::string content = "\0\0\x08\x01"s;
      for (int shift : {24, 16, 8, 0}) content += static_cast<char>(count >> shift);
      return directory.write("case.idx", gzip(content + std::string(count, '\0')));
    };
    CHECK(read_idx(packed(1000), limits).values.size() == 1000);
    expect_error(ErrorKind::data, {"to 1000000, above the limit of 100 to 1"},
                 [&] { read_idx(packed(1'000'000), limits); });
    expect_error(ErrorKind::data, {"2000000 bytes", "limit of 1048576"}, [&] { read_idx(packed(2'000'000), limits); });
  }
}

}  // namespace
}  // namespace gesso
