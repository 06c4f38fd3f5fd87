#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/gzip.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"
#include "train/cifar_dataset.h"

namespace gesso {
namespace {

constexpr std::size_t kPlane = 1024, kRecord = 1 + 3 * kPlane;

// Records whose values follow from file, record, colour and position.
char value(std::size_t file, std::size_t record, std::size_t c, std::size_t position) {
  return static_cast<char>(file * 131 + record * 59 + c * 17 + position * 7 % 251);
}
std::string records(std::size_t file, std::size_t count) {
  std::string content;
  for (std::size_t r = 0; r < count; ++r) {
    content += static_cast<char>((file + r) % 10);
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t i = 0; i < kPlane; ++i) content += value(file, r, c, i);
  }
  return content;
}

// Plain, xz and gzip files side by side; file f holds f + 1 records.
void write_set(const TemporaryDirectory& directory) {
  for (std::size_t f = 0; f < 5; ++f) {
    const std::string name = "data_batch_" + std::to_string(f + 1) + ".bin", content = records(f, f + 1);
    if (f % 3 == 0) directory.write(name, content);
    if (f % 3 == 1) directory.write(name + ".xz", xz(content));
    if (f % 3 == 2) directory.write(name + ".gz", gzip(content));
  }
  directory.write("test_batch.bin.xz", xz(records(5, 2)));
}

// Pixels and label of each record, one after the other.
std::vector<std::uint8_t> content_of(const Dataset& data) {
  std::vector<std::uint8_t> content, pixels(3 * kPlane);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    std::int32_t label = -1;
    data.read(i, pixels, label);
    content.insert(content.end(), pixels.begin(), pixels.end());
    content.push_back(static_cast<std::uint8_t>(label));
  }
  return content;
}

TEST_SUITE("cifar") {
  TEST_CASE("records of all files follow each other, planes become pixels, plain and packed alike") {
    TemporaryDirectory directory;
    write_set(directory);
    const auto data = open_cifar_dataset(directory.path(), Split::train);
    REQUIRE(data->size() == 1 + 2 + 3 + 4 + 5);
    CHECK(data->image_shape() == ImageShape{32, 32, 3});
    CHECK(data->classes() == 10);
    CHECK(data->class_name(9) == "truck");
    std::int64_t index = 0;
    for (std::size_t f = 0; f < 5; ++f)
      for (std::size_t r = 0; r <= f; ++r, ++index) {
        std::vector<std::uint8_t> pixels(3 * kPlane);
        std::int32_t label = -1;
        data->read(index, pixels, label);
        CHECK(label == static_cast<std::int32_t>((f + r) % 10));
        bool equal = true;
        for (std::size_t i = 0; i < kPlane; ++i)
          for (std::size_t c = 0; c < 3; ++c)
            equal = equal && pixels[3 * i + c] == static_cast<std::uint8_t>(value(f, r, c, i));
        CHECK_MESSAGE(equal, "file ", f, " record ", r);
      }
    CHECK(open_cifar_dataset(directory.path(), Split::validation)->size() == 2);
  }

  TEST_CASE("a plain file goes before a packed one of the same name") {
    TemporaryDirectory directory;
    directory.write("test_batch.bin.xz", "rubbish");
    directory.write("test_batch.bin", records(0, 3));
    CHECK(open_cifar_dataset(directory.path(), Split::validation)->size() == 3);
  }

  TEST_CASE("missing files are named, with what was expected") {
    TemporaryDirectory directory;
    write_set(directory);
    std::filesystem::remove(directory / "data_batch_4.bin");
    expect_error(ErrorKind::data, {"has no data_batch_4.bin", "data_batch_1.bin to data_batch_5.bin", ".xz"},
                 [&] { open_cifar_dataset(directory.path(), Split::train); });
    expect_error(ErrorKind::data, {"nowhere", "is no directory"},
                 [&] { open_cifar_dataset(directory / "nowhere", Split::train); });
  }

  TEST_CASE("files that are not whole records of CIFAR-10 are refused, naming why") {
    struct Case {
      const char* title;
      std::string content;
      std::vector<std::string> words;
    };
    std::string bad_label = records(0, 3);
    bad_label[2 * kRecord] = 10;
    const std::string two = records(0, 2), packed = xz(two);
    const std::string many(10'001 * kRecord, '\0');
    std::string flipped = packed;
    flipped[packed.size() / 2] ^= 4;
    const std::vector<Case> cases = {
        {"empty", "", {"holds no record"}},
        {"one byte short", two.substr(0, two.size() - 1), {"within record 1", "3072 of 3073"}},
        {"one byte more", two + "x", {"within record 2", "1 of 3073"}},
        {"label above 9", bad_label, {"record 2 has label 10", "0 to 9"}},
        {"one record too many", many, {"at most 30730000 are read"}},
        {"xz, one record too many", xz(many), {"more than the 10000 records"}},
        {"xz, cut off", packed.substr(0, packed.size() - 5), {"xz data are cut off"}},
        {"xz, cut in the header", packed.substr(0, 8), {"xz data are cut off"}},
        {"xz, a flipped bit", flipped, {"xz data are damaged"}},
        {"xz, bytes behind", packed + "1234", {"4 bytes behind the end"}},
        {"xz, half a record", xz(two.substr(0, 4000)), {"within record 1", "927 of 3073"}},
        {"gzip, cut off", gzip(two).substr(0, 100), {"gzip data are cut off"}},
        {"another format", "GIF89a" + std::string(4000, '\x01'), {"label 71"}},
    };
    TemporaryDirectory directory;
    for (const Case& c : cases) {
      INFO(c.title);
      std::vector<std::string> words = c.words;
      words.push_back("test_batch.bin");
      directory.write("test_batch.bin", c.content);
      expect_error(ErrorKind::data, words, [&] { open_cifar_dataset(directory.path(), Split::validation); });
    }
  }

  TEST_CASE("a flipped bit anywhere in an xz file is refused, or changes nothing") {
    std::mt19937_64 random(test_seed());
    TemporaryDirectory directory;
    const std::string good = records(3, 2), packed = xz(good);
    directory.write("test_batch.bin", good);
    const std::vector<std::uint8_t> whole = content_of(*open_cifar_dataset(directory.path(), Split::validation));
    int refused = 0;
    for (int round = 0; round < 200; ++round) {
      std::string bad = packed;
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
      directory.write("test_batch.bin", bad);
      try {
        const std::vector<std::uint8_t> read = content_of(*open_cifar_dataset(directory.path(), Split::validation));
        CHECK((read == whole));
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::data);
        ++refused;
      }
    }
    CHECK(refused > 150);
  }
}

}  // namespace
}  // namespace gesso
