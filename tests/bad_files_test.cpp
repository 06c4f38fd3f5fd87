// Files that cannot be used, from the start or from the middle of training on: they are told, others take their places,
// and no other sample of any batch moves.
#include "train/bad_files.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <set>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/data_loader.h"
#include "train/folder_dataset.h"
#include "train/folder_listing.h"
#include "train/png.h"
#include "train/run.h"
#include "train/trainer.h"

namespace gesso {
namespace {

constexpr int kFiles = 40;
constexpr std::int64_t kBatch = 6;

std::string name_of_file(int i) { return fmt::format("{:02}.png", i); }

// Grey, wider than high. The first row tells the number of the file, the others where a crop lies.
std::string picture(int i) {
  Image image({8, 11, 1});
  for (std::size_t at = 0; at < image.pixels.size(); ++at)
    image.pixels[at] = static_cast<std::uint8_t>(at < 11 ? i : static_cast<int>(20 * (at % 11)));
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_pictures(const TemporaryDirectory& directory, const std::string& folder) {
  std::filesystem::create_directory(directory / folder);
  for (int i = 0; i < kFiles; ++i) directory.write(folder + "/" + name_of_file(i), picture(i));
}

FolderOptions options_of(const Path& path, double max_bad, std::int64_t cache_bytes = 1 << 20) {
  return {.path = path,
          .size = 8,
          .channels = 1,
          .crop_anywhere = true,
          .validation = 0,
          .max_bad = max_bad,
          .cache_bytes = cache_bytes};
}

DataLoaderOptions loading(int threads, double max_bad) {
  return {.threads = threads, .augmentation = {.flip = true, .crop = true, .seed = test_seed()}, .max_bad = max_bad};
}

SampleOrder order_of(const Dataset& data) { return {data.places(), kBatch, test_seed()}; }

std::string shown(const Batch& batch, std::size_t position) {
  return {batch.images.begin() + static_cast<std::ptrdiff_t>(64 * position),
          batch.images.begin() + static_cast<std::ptrdiff_t>(64 * (position + 1))};
}

// Whether the loader's next batch of `step` is that of the whole set, but for samples at these places, which none has.
// Returns how many were replaced.
int check_batch(std::int64_t step, const Batch& batch, const Batch& whole, const std::set<std::int64_t>& bad) {
  int replaced = 0;
  for (std::size_t i = 0; i < whole.indices.size(); ++i) {
    CAPTURE(step);
    CAPTURE(i);
    if (!bad.contains(whole.indices[i])) {
      CHECK(shown(batch, i) == shown(whole, i));
      continue;
    }
    ++replaced;
    CHECK_FALSE(bad.contains(shown(batch, i)[0]));
  }
  return replaced;
}

TEST_SUITE("bad files") {
  TEST_CASE("files that cannot be used from the start move no other sample of any batch, nor how it is looked at") {
    const TemporaryDirectory directory;
    write_pictures(directory, "whole");
    write_pictures(directory, "bad");
    const std::set<std::int64_t> bad = {0, 17, 39};
    directory.write("bad/00.png", picture(0).substr(0, 40));
    directory.write("bad/17.png", "");
    directory.write("bad/39.png", "this was never a picture");
    const auto whole = open_folder_dataset(options_of(directory / "whole", 0), Split::train);
    const auto data = open_folder_dataset(options_of(directory / "bad", 0.1), Split::train);
    CHECK(whole->places() == kFiles);
    CHECK(data->places() == kFiles);
    CHECK(data->size() == kFiles - 3);
    CHECK_FALSE(data->sample_at(0).has_value());
    CHECK(data->sample_at(1) == 0);
    CHECK(data->sample_at(38) == 36);
    CHECK_FALSE(data->sample_at(39).has_value());
    for (const int threads : {0, 1, 3}) {
      DataLoader all(*whole, order_of(*whole), loading(threads, 0)), some(*data, order_of(*data), loading(threads, 0));
      int replaced = 0;
      for (std::int64_t step = 0; step < 30; ++step) replaced += check_batch(step, some.next(), all.next(), bad);
      CHECK(replaced > 5);  // 13 expected
      CHECK(some.newly_bad().empty());
    }
  }

  TEST_CASE("files that vanish, change or turn into something else while training runs are replaced, and told once") {
    const TemporaryDirectory directory;
    write_pictures(directory, "whole");
    write_pictures(directory, "changing");
    const auto whole = open_folder_dataset(options_of(directory / "whole", 0), Split::train);
    const auto data = open_folder_dataset(options_of(directory / "changing", 0, 0), Split::train);
    DataLoader all(*whole, order_of(*whole), loading(0, 0)), some(*data, order_of(*data), loading(0, 0.15));
    check_batch(0, some.next(), all.next(), {});
    std::filesystem::remove(directory / "changing/03.png");
    directory.write("changing/04.png", picture(5));  // a good one, but another
    directory.write("changing/05.png", picture(5).substr(0, 50));
    std::filesystem::remove(directory / "changing/06.png");
    REQUIRE(mkfifo((directory / "changing/06.png").c_str(), 0600) == 0);
    std::filesystem::remove(directory / "changing/07.png");
    std::filesystem::create_directory(directory / "changing/07.png");
    std::set<std::string> told;
    int replaced = 0;
    for (std::int64_t step = 1; step < 40; ++step) {
      replaced += check_batch(step, some.next(), all.next(), {3, 4, 5, 6, 7});
      for (const std::string& why : some.newly_bad()) CHECK_MESSAGE(told.insert(why).second, why);
    }
    CHECK(replaced > 10);  // 29 expected
    REQUIRE(told.size() == 5);
    const std::vector<std::string> wanted = {"'03.png': No such file", "'04.png': was changed", "'05.png': was changed",
                                             "'06.png': is no file any more", "'07.png': is no file any more"};
    std::size_t i = 0;
    for (const std::string& why : told) CHECK_MESSAGE(why.starts_with(wanted[i++]), why);
  }

  TEST_CASE("more bad files than allowed end the loading, wherever they lie, and the first ones are named") {
    const TemporaryDirectory directory;
    write_pictures(directory, "set");
    const auto data = open_folder_dataset(options_of(directory / "set", 0, 0), Split::train);
    for (const int i : {0, 20, 39}) std::filesystem::remove(directory / "set" / name_of_file(i));
    for (const int threads : {0, 2}) {
      DataLoader loader(*data, order_of(*data), loading(threads, 0.05));  // 2 of 40
      expect_error(ErrorKind::data, {"3 of 40 files", "data.max_bad = 0.05", "--resume", "'00.png'", "'20.png'"}, [&] {
        for (int step = 0; step < 100; ++step) loader.next();
      });
    }
    for (int i = 0; i < kFiles; ++i) std::filesystem::remove(directory / "set" / name_of_file(i));
    DataLoader loader(*data, order_of(*data), loading(0, 1));
    expect_error(ErrorKind::data, {"40 of 40 files"}, [&] { loader.next(); });
  }

  TEST_CASE("what takes a bad sample's place is drawn from all, by seed, step, position and attempt alone") {
    const SampleOrder order(5, 2, test_seed());
    std::vector<int> counts(5);
    for (std::int64_t step = 0; step < 1000; ++step)
      for (std::int64_t attempt = 1; attempt <= 5; ++attempt)
        ++counts[static_cast<std::size_t>(order.substitute(step, attempt % 2, attempt))];
    for (const int count : counts) CHECK(std::abs(count - 1000) < 170);  // deviation 28
    CHECK(SampleOrder(5, 2, 7).substitute(3, 1, 2) == SampleOrder(5, 2, 7).substitute(3, 1, 2));
  }

  TEST_CASE("a share of bad files at the limit is allowed, and one above it says what would allow it") {
    const std::vector<std::string> reasons = {"'a'", "'b'", "'c'", "'d'"};
    check_bad_files("set", reasons, 8, 0.5, "");
    check_bad_files("set", {}, 8, 0, "");
    expect_error(ErrorKind::data,
                 {"set: 4 of 8 files", "more than the 3 that data.max_bad = 0.4 allows", "use 0.5: 'a'; 'b'; 'c'; ..."},
                 [&] { check_bad_files("set", reasons, 8, 0.4, "use {}"); });
    const std::span one = std::span(reasons).first(1);
    check_bad_files("set", one, 1000, 0.001, "");
    expect_error(ErrorKind::data,
                 {"1 of 999 files", "more than the 0 that data.max_bad = 0.001 allows", "use 0.002: 'a'"},
                 [&] { check_bad_files("set", one, 999, 0.001, "use {}"); });
    for (std::int64_t files = 1; files <= 1000; ++files)  // however the shares are rounded
      for (std::int64_t bad = 1; bad <= std::min<std::int64_t>(files, 20); ++bad) {
        const std::vector<std::string> all(static_cast<std::size_t>(bad), "x");
        const double share = static_cast<double>(bad) / static_cast<double>(files);
        CHECK_NOTHROW(check_bad_files("set", all, files, share, ""));
        CHECK_THROWS(check_bad_files("set", all, files, share * 0.999, ""));
      }
  }
}

// --- A run

constexpr double kTested = 0.2;  // share of the files

// The first files of that split, by number.
std::vector<int> first_of(Split split, std::size_t count) {
  std::vector<int> numbers;
  for (int i = 0; numbers.size() < count && i < kFiles; ++i)
    if (is_validation(name_of_file(i), kTested) == (split == Split::validation)) numbers.push_back(i);
  REQUIRE(numbers.size() == count);
  return numbers;
}

class FolderRun {
 public:
  // broken: numbers of files that are no pictures from the start.
  FolderRun(const TemporaryDirectory& directory, double max_bad, std::span<const int> broken = {})
      : directory_(directory) {
    write_pictures(directory, "set");
    for (const int i : broken) directory.write("set/" + name_of_file(i), "never a picture");
    std::vector<std::string> words = {"data.kind=folder",
                                      "data.path=" + (directory / "set").string(),
                                      "data.size=8",
                                      "data.channels=1",
                                      "data.cache_mib=0",
                                      fmt::format("data.validation={}", kTested),
                                      "model.hidden=4",
                                      fmt::format("data.max_bad={}", max_bad),
                                      "model.residual_hidden=2",
                                      "model.codes=8",
                                      "model.code_width=4",
                                      "train.batch=3",
                                      "sample.count=2",
                                      "checkpoint.every=1000"};
    go(words, 2, false, [] {});
  }

  // Trains up to that step; meanwhile() comes between the listing of the files and the first step.
  template <class Meanwhile>
  RunSummary go(std::vector<std::string> words, std::int64_t steps, bool resume, Meanwhile&& meanwhile) {
    RunRequest request{
        .recipe = "vqvae-shapes", .directory = path(), .assignments = std::move(words), .resume = resume};
    request.assignments.push_back(fmt::format("train.steps={}", steps));
    RecipeFile file;
    const PreparedRun run = prepare_run(request, file);
    meanwhile();
    return train(file.recipe(), *run.data, {.directory = path(), .resume = resume, .is_locked = run.lock.has_value()});
  }

  Path path() const { return directory_ / "run"; }
  std::int64_t saved_step() const { return list_checkpoints(path()).back().step; }

  // A file that training first meets in the batch of `step`, counted from 0.
  int met_first_at(std::int64_t step) const {
    const FolderOptions options{
        .path = directory_ / "set", .size = 8, .channels = 1, .validation = kTested, .max_bad = 1};
    const auto data = open_folder_dataset(options, Split::train);
    const SampleOrder order(data->places(), 3, 1);
    for (const std::int64_t place : order(step)) {
      bool earlier = false;
      for (std::int64_t before = 2; before < step; ++before)
        earlier = earlier || std::ranges::count(order(before), place) > 0;
      if (!earlier) return read_batch(*data, {place}).images[0];
    }
    FAIL("no such file");
    return 0;
  }

 private:
  const TemporaryDirectory& directory_;
};

TEST_SUITE("bad files") {
  TEST_CASE("a run goes on without a file that vanished, writes it down, and goes on with it when it is back") {
    const TemporaryDirectory directory;
    FolderRun run(directory, 0.1);
    const int lost = run.met_first_at(3);
    const Path file = directory / "set" / name_of_file(lost);
    run.go({}, 6, true, [&] { std::filesystem::remove(file); });
    CHECK(run.saved_step() == 6);
    CHECK(read_text_file(run.path() / "skipped.txt", 1000) ==
          fmt::format("'{}': No such file or directory\n", name_of_file(lost)));
    expect_error(ErrorKind::data, {"run", "with --data"}, [&] { run.go({}, 8, true, [] {}); });
    directory.write("set/" + name_of_file(lost), picture(lost));
    run.go({}, 8, true, [] {});
    CHECK(run.saved_step() == 8);
  }

  TEST_CASE("the share is one of all files, whichever split the bad ones fall into") {
    const TemporaryDirectory directory;
    std::vector<int> broken = first_of(Split::validation, 2);  // 2 of 40 files, and more than a tenth of their split
    const int third = first_of(Split::train, 1)[0];
    FolderRun run(directory, 0.06, broken);
    CHECK(run.saved_step() == 2);
    const int lost = run.met_first_at(4);
    expect_error(
        ErrorKind::data,
        {"3 of 40 files cannot be used, more than the 2 that data.max_bad = 0.06 allows", name_of_file(lost),
         name_of_file(broken[0]), name_of_file(broken[1])},
        [&] { run.go({}, 8, true, [&] { std::filesystem::remove(directory / "set" / name_of_file(lost)); }); });
    CHECK(run.saved_step() == 4);
    const TemporaryDirectory other;
    broken.push_back(third);
    expect_error(ErrorKind::data,
                 {"3 of 40 files cannot be used, more than the 2 that data.max_bad = 0.06 allows", "gesso data scan",
                  "data.max_bad=0.075", name_of_file(third), name_of_file(broken[0]), name_of_file(broken[1])},
                 [&] { FolderRun(other, 0.06, broken); });
    CHECK_FALSE(std::filesystem::exists(other / "run"));
  }

  TEST_CASE(
      "a run that loses too many files saves what it did, stops, and goes on to the same bits when they are back") {
    const TemporaryDirectory directory;
    FolderRun run(directory, 0);
    const int lost = run.met_first_at(4);
    expect_error(
        ErrorKind::data,
        {"1 of ", "data.max_bad = 0 allows", "--resume goes on", fmt::format("'{}'", name_of_file(lost))},
        [&] { run.go({}, 8, true, [&] { std::filesystem::remove(directory / "set" / name_of_file(lost)); }); });
    CHECK(run.saved_step() == 4);
    directory.write("set/" + name_of_file(lost), picture(lost));
    run.go({}, 8, true, [] {});
    CHECK(run.saved_step() == 8);
  }
}

}  // namespace
}  // namespace gesso
