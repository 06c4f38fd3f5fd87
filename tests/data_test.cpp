// Data sets, their order, and the loader.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/thread_pool.h"
#include "tests/expect_error.h"
#include "tests/gzip.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/xz.h"
#include "train/comparison.h"
#include "train/data_loader.h"
#include "train/idx_dataset.h"
#include "train/open_dataset.h"
#include "train/pixel_range.h"
#include "train/shape_outline.h"
#include "train/shapes_dataset.h"
#include "train/statistics_cache.h"

namespace gesso {
namespace {

using namespace std::string_literals;

std::string idx(std::vector<std::uint32_t> dims, const std::string& values) {
  std::string file = "\0\0\x08"s + static_cast<char>(dims.size());
  for (const std::uint32_t dim : dims)
    for (int shift : {24, 16, 8, 0}) file += static_cast<char>(dim >> shift);
  return file + values;
}

// Three training pictures and two for validation, of 1x2 pixels.
void write_tiny_set(const TemporaryDirectory& directory) {
  directory.write("train-images-idx3-ubyte", idx({3, 1, 2}, "abcdef"));
  directory.write("train-labels-idx1-ubyte.gz", gzip(idx({3}, "\0\x02\x01"s)));
  directory.write("t10k-images-idx3-ubyte.gz", gzip(idx({2, 1, 2}, "\x00\xFF\xFF\xFF"s)));
  directory.write("t10k-labels-idx1-ubyte", idx({2}, "\x01\0"s));
}

// Pictures of one byte, the index's lowest; slow by chance where told so, and broken at one index.
class FakeDataset final : public Dataset {
 public:
  explicit FakeDataset(std::int64_t size, std::int64_t broken = -1, bool slow = false)
      : Dataset({"fake", size, {1, 1, 1}, {"only"}}), broken_(broken), slow_(slow) {}
  mutable std::atomic<int> reads = 0;

 private:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    ++reads;
    if (slow_) std::this_thread::sleep_for(std::chrono::microseconds(index * 37 % 11 * 50));
    if (index == broken_) fail(ErrorKind::data, "fake: picture {} is broken", index);
    image[0] = static_cast<std::uint8_t>(index);
    label = 0;
  }
  std::int64_t broken_;
  bool slow_;
};

// Grey pictures of two 16-bit values: white and the index.
class WideDataset final : public Dataset {
 public:
  explicit WideDataset(std::int64_t size) : Dataset({"wide", size, {1, 2, 1}, {"only"}, DType::u16}) {}

 private:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    const std::uint16_t values[] = {65535, static_cast<std::uint16_t>(index)};
    std::memcpy(image.data(), values, sizeof values);
    label = 0;
  }
};

// The cache lies here as long as this lives.
class CacheFolder {
 public:
  explicit CacheFolder(const Path& path) {
    if (const char* value = std::getenv("XDG_CACHE_HOME")) before_ = value;
    setenv("XDG_CACHE_HOME", path.c_str(), 1);
  }
  ~CacheFolder() { before_.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", before_.c_str(), 1); }
  CacheFolder(const CacheFolder&) = delete;
  CacheFolder& operator=(const CacheFolder&) = delete;

 private:
  std::string before_;
};

TEST_SUITE("data") {
  TEST_CASE("the files of an IDX directory may be plain, .xz or .gz, and the plain one of several is read") {
    const TemporaryDirectory directory;
    directory.write("train-images-idx3-ubyte.xz", xz(idx({3, 1, 2}, "abcdef")));
    directory.write("train-labels-idx1-ubyte.gz", gzip(idx({3}, "\0\x02\x01"s)));
    directory.write("t10k-images-idx3-ubyte.xz", xz(idx({2, 1, 2}, "\x00\xFF\xFF\xFF"s)));
    directory.write("t10k-labels-idx1-ubyte.xz", xz(idx({2}, "\x01\0"s)));
    CHECK(kind_of_data(directory.path()) == "idx");
    const auto train = open_idx_dataset(directory.path(), Split::train);
    CHECK(train->image(2).pixels == std::vector<std::uint8_t>{'e', 'f'});
    CHECK(train->classes() == 3);
    CHECK(open_idx_dataset(directory.path(), Split::validation)->size() == 2);
    directory.write("train-images-idx3-ubyte", idx({3, 1, 2}, "ghijkl"));
    CHECK(open_idx_dataset(directory.path(), Split::train)->image(0).pixels == std::vector<std::uint8_t>{'g', 'h'});
  }

  TEST_CASE("an IDX directory is read, plain and packed, with the classes of both splits") {
    TemporaryDirectory directory;
    write_tiny_set(directory);
    const auto train = open_idx_dataset(directory.path(), Split::train);
    const auto validation = open_idx_dataset(directory.path(), Split::validation);
    CHECK(train->size() == 3);
    CHECK(train->image_shape() == ImageShape{1, 2, 1});
    CHECK(validation->size() == 2);
    CHECK(validation->classes() == 3);
    CHECK(validation->class_name(2) == "2");
    CHECK(train->image(1).pixels == std::vector<std::uint8_t>{'c', 'd'});
    const Batch batch = read_batch(*train, {2, 0});
    CHECK(std::string(batch.images.begin(), batch.images.end()) == "efab");
    CHECK(batch.labels == std::vector<std::int32_t>{1, 0});
    std::int32_t label = 0;
    std::vector<std::uint8_t> image(2);
    expect_error(ErrorKind::usage, {"no picture 3; there are 3"}, [&] { train->read(3, image, label); });
    expect_error(ErrorKind::usage, {"no picture -1"}, [&] { train->read(-1, image, label); });
    expect_error(ErrorKind::usage, {"1 bytes", "1x2x1"}, [&] { train->read(0, std::span(image).first(1), label); });
  }

  TEST_CASE("IDX pictures of any number of channels are read") {
    TemporaryDirectory directory;
    write_tiny_set(directory);
    for (const std::string prefix : {"train", "t10k"})
      std::filesystem::remove(directory / (prefix + "-images-idx3-ubyte" + (prefix == "t10k" ? ".gz" : "")));
    directory.write("train-images-idx4-ubyte", idx({3, 1, 2, 5}, "abcdefghijklmnopqrstuvwxyz0123"));
    directory.write("t10k-images-idx4-ubyte.gz", gzip(idx({2, 1, 2, 5}, std::string(20, 'x'))));
    const auto data = open_idx_dataset(directory.path(), Split::train);
    CHECK(data->image_shape() == ImageShape{1, 2, 5});
    const Batch batch = read_batch(*data, {1});
    CHECK(std::string(batch.images.begin(), batch.images.end()) == "klmnopqrst");
    std::vector<std::uint8_t> flipped(10);
    std::int32_t label = 0;
    data->read(1, {.flip = true}, flipped, label);
    CHECK(std::string(flipped.begin(), flipped.end()) == "pqrstklmno");
    CHECK(open_idx_dataset(directory.path(), Split::validation)->size() == 2);
  }

  TEST_CASE("measured statistics are kept, found again bit for bit, and measured again where the file is not good") {
    TemporaryDirectory directory;
    write_tiny_set(directory);
    const CacheFolder cache(directory / "cache");
    const auto data = open_idx_dataset(directory.path(), Split::train);
    const PixelStatistics measured = pixel_statistics(*data), first = cached_pixel_statistics(*data);
    CHECK(first.mean == measured.mean);
    CHECK(first.variance == measured.variance);
    const Path file = statistics_cache_path(*data);
    REQUIRE(file.parent_path() == directory / "cache" / "gesso");
    const std::string good = read_text_file(file, 4096);
    // What stands in the file is what is given, so it must have been read: a set of the same identity knows no better.
    class Renamed final : public Dataset {
     public:
      explicit Renamed(const Dataset& other)
          : Dataset(
                {.name = "x", .image_shape = other.image_shape(), .class_names = {}, .identity = other.identity()}) {}

     private:
      void read_checked(std::int64_t, const View&, std::span<std::uint8_t>, std::int32_t&) const override {}
    };
    const Renamed empty(*data);
    CHECK(cached_pixel_statistics(empty).mean == measured.mean);
    CHECK(cached_pixel_statistics(empty).variance == measured.variance);
    for (std::size_t i = 0; i < good.size() - 1; ++i)
      for (const char bad : {'0', '7', ' ', '"'}) {
        std::string text = good;
        if (text[i] == bad) continue;
        text[i] = bad;
        directory.write("cache/gesso/" + file.filename().string(), text);
        REQUIRE(cached_pixel_statistics(*data).mean == measured.mean);
        REQUIRE(cached_pixel_statistics(*data).variance == measured.variance);
      }
    directory.write("cache/gesso/" + file.filename().string(), good.substr(0, 40));
    CHECK(cached_pixel_statistics(*data).mean == measured.mean);
    CHECK(read_text_file(file, 4096) == good);
    // Other files, another entry; no folder to write into, no error.
    directory.write("train-images-idx3-ubyte", idx({3, 1, 2}, "abcdeg"));
    const auto changed = open_idx_dataset(directory.path(), Split::train);
    CHECK(statistics_cache_path(*changed) != file);
    CHECK(cached_pixel_statistics(*changed).mean > measured.mean);
    const CacheFolder nowhere(directory.write("file", "x"));
    CHECK(cached_pixel_statistics(*data).mean == measured.mean);
  }

  TEST_CASE("statistics are over all values, in units of the full range") {
    TemporaryDirectory directory;
    write_tiny_set(directory);
    const PixelStatistics statistics = pixel_statistics(*open_idx_dataset(directory.path(), Split::validation));
    CHECK(statistics.mean == doctest::Approx(0.75));        // of 0, 1, 1, 1
    CHECK(statistics.variance == doctest::Approx(0.1875));  // 0.75 - 0.75^2
  }

  TEST_CASE("pictures of 16 bits keep them, from the data set to what a model sees") {
    const WideDataset data(1000);
    CHECK(data.image_bytes() == 4);
    Device& cpu = device(DeviceKind::cpu);
    const Tensor images = read_images(data, 300, 2, cpu);
    CHECK(images.spec() == Spec{{2, 1, 2, 1}, DType::u16});
    CHECK(images.to_host<std::uint16_t>() == std::vector<std::uint16_t>{65535, 300, 65535, 301});
    const std::vector<float> x = normalise_images(images).to_host<float>();
    CHECK(x[0] == 0.5f);
    CHECK(x[1] == static_cast<float>(300 / 65535. - 0.5));
    CHECK(data.image(514).pixels == std::vector<std::uint8_t>{255, 2});
    const PixelStatistics found = pixel_statistics(data);
    const double mean = (1000 * 65535. + 499500) / 2000, squares = (1000 * 65535. * 65535. + 332833500) / 2000;
    CHECK(found.mean == doctest::Approx(mean / 65535).epsilon(1e-15));
    CHECK(found.variance == doctest::Approx((squares - mean * mean) / (65535. * 65535.)).epsilon(1e-13));
  }

  TEST_CASE("a data path that cannot be used says what was expected and where to get it") {
    TemporaryDirectory directory;
    const auto refused = [&](const Path& path, std::vector<std::string> words) {
      words.insert(words.end(),
                   {"train-images-idx3-ubyte", "dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"});
      expect_error(ErrorKind::data, words, [&] { open_idx_dataset(path, Split::train); });
    };
    refused("", {"data path '': is empty"});
    refused(directory / "nowhere", {"nowhere", "does not exist"});
    refused(directory.path(), {"has no train-images-idx3-ubyte"});
    refused(directory.write("file", "x"), {"is no directory"});
    write_tiny_set(directory);
    std::filesystem::remove(directory / "t10k-labels-idx1-ubyte");
    refused(directory.path(), {"has no t10k-labels-idx1-ubyte"});
  }

  TEST_CASE("pictures and labels that do not match are refused, naming the file") {
    TemporaryDirectory directory;
    const auto refused = [&](const std::string& name, const std::string& content,
                             const std::vector<std::string>& words) {
      write_tiny_set(directory);
      directory.write(name, content);
      expect_error(ErrorKind::data, words, [&] { open_idx_dataset(directory.path(), Split::train); });
      std::filesystem::remove(directory / name);
    };
    refused("train-labels-idx1-ubyte", idx({2}, "ab"), {"train-images", "3 pictures but 2 labels"});
    refused("train-labels-idx1-ubyte", idx({3, 1}, "abc"), {"train-labels-idx1-ubyte", "[3,1] is no list of labels"});
    refused("train-images-idx3-ubyte", idx({6}, "abcdef"), {"train-images-idx3-ubyte", "[6] holds no pictures"});
    refused("train-images-idx3-ubyte", idx({0, 28, 28}, ""), {"[0,28,28] holds no pictures"});
    refused("train-images-idx3-ubyte", idx({3, 1, 2}, "abcde"), {"train-images-idx3-ubyte", "5 follow"});
    refused("t10k-labels-idx1-ubyte", "x", {"t10k-labels-idx1-ubyte"});
  }

  TEST_CASE("shapes are the same for the same seed and split, others for others") {
    const ShapesOptions options{.count = 40, .image_size = 20, .seed = 3};
    const auto set = make_shapes_dataset(options, Split::train), same = make_shapes_dataset(options, Split::train);
    const auto validation = make_shapes_dataset(options, Split::validation);
    ShapesOptions reseeded = options;
    reseeded.seed = 4;
    const auto other = make_shapes_dataset(reseeded, Split::train);
    std::set<std::vector<std::uint8_t>> distinct;
    for (std::int64_t i = 39; i >= 0; --i) {
      CHECK(set->image(i).pixels == same->image(i).pixels);
      for (const Dataset* d : {set.get(), validation.get(), other.get()}) distinct.insert(d->image(i).pixels);
    }
    CHECK(distinct.size() == 120);
  }

  TEST_CASE("shapes come in any size, grey as the luma of the coloured ones, with balanced classes") {
    const auto grey = make_shapes_dataset({.count = 30, .image_size = 13, .channels = 1}, Split::train);
    const auto colour = make_shapes_dataset({.count = 30, .image_size = 13, .channels = 3}, Split::train);
    CHECK(grey->classes() == 10);
    CHECK(grey->class_name(0) == "circle");
    std::map<std::int32_t, int> labels;
    for (std::int64_t i = 0; i < 30; ++i) {
      const Image converted = with_channels(colour->image(i), 1), drawn = grey->image(i);
      for (std::size_t k = 0; k < drawn.pixels.size(); ++k) CHECK(std::abs(converted.pixels[k] - drawn.pixels[k]) <= 1);
      ++labels[read_batch(*grey, {i}).labels[0]];
    }
    CHECK(labels.size() == 10);
    for (const auto& [label, count] : labels) CHECK(count == 3);
    CHECK(make_shapes_dataset({.count = 1, .image_size = 4}, Split::train)->image(0).shape == ImageShape{4, 4, 3});
    CHECK(make_shapes_dataset({.count = 1, .image_size = 300}, Split::train)->image(0).shape ==
          ImageShape{300, 300, 3});
    expect_error(ErrorKind::usage, {"3 pixels"}, [] { make_shapes_dataset({.image_size = 3}, Split::train); });
    expect_error(ErrorKind::usage, {"2 channels"}, [] { make_shapes_dataset({.channels = 2}, Split::train); });
    expect_error(ErrorKind::usage, {"-1 pictures"}, [] { make_shapes_dataset({.count = -1}, Split::train); });
  }

  TEST_CASE("a drawn shape keeps its bits") {
    // Anybody's machine and compiler must draw the same pictures, else runs cannot be compared.
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a
    const auto set = make_shapes_dataset({.count = 20, .seed = 1}, Split::train);
    for (std::int64_t i = 0; i < 20; ++i)
      for (const std::uint8_t value : set->image(i).pixels) hash = (hash ^ value) * 1099511628211u;
    CHECK(hash == 13173442267575835802u);
  }

  TEST_CASE("the distance to a polygon is exact, and negative inside") {
    const std::vector<Point> square = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
    CHECK(polygon_distance(square, {0, 0}) == doctest::Approx(-1));
    CHECK(polygon_distance(square, {0.75f, 0}) == doctest::Approx(-0.25));
    CHECK(polygon_distance(square, {3, 0}) == doctest::Approx(2));
    CHECK(polygon_distance(square, {4, 5}) == doctest::Approx(5));
  }

  TEST_CASE("each shape has its sign right: areas agree with sampling the outline's inside") {
    // Areas known by hand, in the unit circle's frame.
    const std::map<ShapeKind, double> areas = {{ShapeKind::circle, 3.14159265 * 0.85 * 0.85},
                                               {ShapeKind::ring, 3.14159265 * (0.92 * 0.92 - 0.48 * 0.48)},
                                               {ShapeKind::square, 1.4 * 1.4},
                                               {ShapeKind::triangle, 1.2990381},
                                               {ShapeKind::hexagon, 2.5980762 * 0.95 * 0.95},
                                               {ShapeKind::star, 10 * 0.5 * 1.0 * 0.42 * 0.58778525},
                                               {ShapeKind::cross, 2 * 1.8 * 0.56 - 0.56 * 0.56},
                                               {ShapeKind::heart, 8 * 0.39 * 0.39 + 3.14159265 * 2 * 0.39 * 0.39},
                                               {ShapeKind::arrow, 0.5 * 1.5 * 0.9 + 0.56 * 1.0}};
    for (const auto& [kind, area] : areas) {
      INFO(name_of(kind));
      int inside = 0;
      constexpr int kSide = 400;
      for (int y = 0; y < kSide; ++y)
        for (int x = 0; x < kSide; ++x) {
          const auto at = [](int i) { return (static_cast<float>(i) + 0.5f) / kSide * 2.4f - 1.2f; };
          inside += signed_distance(kind, {at(x), at(y)}) < 0 ? 1 : 0;
        }
      CHECK(inside * 2.4 * 2.4 / (kSide * kSide) == doctest::Approx(area).epsilon(0.01));
    }
  }

  TEST_CASE("a keyed permutation meets each number once") {
    std::mt19937_64 random(test_seed());
    for (const std::int64_t n : {1, 2, 3, 5, 63, 64, 65, 255, 1000, 4097, 60000}) {
      const KeyedPermutation permutation(n, random());
      std::vector<bool> met(static_cast<std::size_t>(n));
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t value = permutation(i);
        REQUIRE(value >= 0);
        REQUIRE(value < n);
        REQUIRE_FALSE(met[static_cast<std::size_t>(value)]);
        met[static_cast<std::size_t>(value)] = true;
      }
    }
    const KeyedPermutation huge((std::int64_t{1} << 48) - 1, 7);
    CHECK(huge(0) != huge(1));
    expect_error(ErrorKind::usage, {"0 samples"}, [] { KeyedPermutation(0, 1); });
    expect_error(ErrorKind::usage, {"281474976710656 samples"}, [] { KeyedPermutation(std::int64_t{1} << 48, 1); });
  }

  TEST_CASE("permutations are spread evenly over all that there are") {
    constexpr std::uint64_t kKeys = 24'000;
    struct Case {
      std::int64_t n;
      double orders, limit;  // of chi-square: above it once in some 30,000 seeds
    };
    for (const Case& c : {Case{2, 2, 18}, Case{3, 6, 29}, Case{4, 24, 60}, Case{5, 120, 190}}) {
      std::map<std::vector<std::int64_t>, int> counts;
      for (std::uint64_t key = 0; key < kKeys; ++key) {
        const KeyedPermutation permutation(c.n, key * 0x9E3779B97F4A7C15u + test_seed());
        std::vector<std::int64_t> order;
        for (std::int64_t i = 0; i < c.n; ++i) order.push_back(permutation(i));
        ++counts[order];
      }
      const double expected = static_cast<double>(kKeys) / c.orders;
      double chi_square = (c.orders - static_cast<double>(counts.size())) * expected;  // of the orders never met
      for (const auto& [order, count] : counts) chi_square += (count - expected) * (count - expected) / expected;
      INFO(c.n);
      CHECK(chi_square < c.limit);
    }
  }

  TEST_CASE("neighbours are torn apart, and each epoch has an order of its own") {
    constexpr std::int64_t kSamples = 10'000;
    const SampleOrder order(kSamples, kSamples, test_seed());
    const auto first = order(0), second = order(1);
    CHECK(first != second);
    int fixed = 0, neighbours = 0, agreeing = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
      fixed += first[i] == static_cast<std::int64_t>(i) ? 1 : 0;
      agreeing += first[i] == second[i] ? 1 : 0;
      neighbours += i > 0 && std::abs(first[i] - first[i - 1]) == 1 ? 1 : 0;
    }
    CHECK(fixed < 10);       // 1 expected
    CHECK(agreeing < 10);    // 1 expected
    CHECK(neighbours < 15);  // 2 expected
    CHECK(SampleOrder(kSamples, kSamples, test_seed() + 1)(0) != first);
  }

  TEST_CASE("an epoch meets each sample at most once and drops the incomplete batch") {
    const SampleOrder order(10, 3, 5);
    CHECK(order.batches_per_epoch() == 3);
    CHECK(order.epoch(2) == 0);
    CHECK(order.epoch(3) == 1);
    for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
      std::set<std::int64_t> met;
      for (std::int64_t step = 3 * epoch; step < 3 * epoch + 3; ++step)
        for (const std::int64_t index : order(step)) met.insert(index);
      CHECK(met.size() == 9);
    }
    expect_error(ErrorKind::usage, {"10 samples", "the 11 of a step", "train.batch"}, [] { SampleOrder(10, 11, 0); });
    expect_error(ErrorKind::usage, {"batches of 0"}, [] { SampleOrder(10, 0, 0); });
    expect_error(ErrorKind::usage, {"step -1"}, [&] { order(-1); });
  }

  TEST_CASE("batches are the same for any number of threads, any prefetch and any start") {
    const FakeDataset dataset(100, -1, /*slow=*/true);
    const SampleOrder order(100, 7, test_seed());
    constexpr std::int64_t kSteps = 40, kMiddle = 17;
    for (const int threads : {0, 1, 2, 5})
      for (const int prefetch : {1, 3}) {
        DataLoader loader(dataset, order, {.threads = threads, .prefetch = prefetch});
        DataLoader resumed(dataset, order, {.first_step = kMiddle, .threads = threads, .prefetch = prefetch});
        for (std::int64_t step = 0; step < kSteps; ++step) {
          const Batch batch = loader.next();
          REQUIRE(batch.indices == order(step));
          REQUIRE(batch.labels.size() == 7);
          for (std::size_t i = 0; i < 7; ++i) REQUIRE(batch.images[i] == batch.indices[i]);
          if (step >= kMiddle) REQUIRE(resumed.next().indices == batch.indices);
        }
      }
  }

  TEST_CASE("no more is read ahead than asked for") {
    const FakeDataset dataset(100);
    DataLoader loader(dataset, SampleOrder(100, 1, 0), {.threads = 3, .prefetch = 4});
    for (int i = 0; i < 10; ++i) loader.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(dataset.reads <= 14);
  }

  TEST_CASE("a picture that cannot be read is reported where its batch is due, not before") {
    constexpr std::int64_t kBroken = 42;
    const FakeDataset dataset(60, kBroken);
    const SampleOrder order(60, 4, test_seed());
    std::int64_t due = 0;
    while (std::ranges::count(order(due), kBroken) == 0) ++due;
    for (const int threads : {0, 1, 4}) {
      DataLoader loader(dataset, order, {.threads = threads, .prefetch = 8});
      for (std::int64_t step = 0; step < due; ++step) CHECK(loader.next().indices == order(step));
      for (int again = 0; again < 2; ++again)
        expect_error(ErrorKind::data, {"picture 42 is broken"}, [&] { loader.next(); });
    }
  }

  TEST_CASE("a loader stops cleanly at any moment") {
    const FakeDataset dataset(100, -1, /*slow=*/true);
    for (int used = 0; used < 20; ++used) {
      DataLoader loader(dataset, SampleOrder(100, 5, 0), {.threads = 4, .prefetch = 6});
      for (int i = 0; i < used % 4; ++i) loader.next();
    }
    expect_error(ErrorKind::usage, {"-1 threads"},
                 [&] { DataLoader loader(dataset, SampleOrder(100, 5, 0), {.threads = -1}); });
    expect_error(ErrorKind::usage, {"0 batches ahead"},
                 [&] { DataLoader loader(dataset, SampleOrder(100, 5, 0), {.prefetch = 0}); });
    expect_error(ErrorKind::usage, {"step -5"},
                 [&] { DataLoader loader(dataset, SampleOrder(100, 5, 0), {.first_step = -5}); });
  }
}

}  // namespace
}  // namespace gesso
