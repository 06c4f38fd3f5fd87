// A folder of pictures as a data set: what is found, what is skipped, what is seen.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "tests/expect_error.h"
#include "tests/mixed_pictures.h"
#include "tests/program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/augmentation.h"
#include "train/data_loader.h"
#include "train/folder_dataset.h"
#include "train/folder_listing.h"
#include "train/picture.h"
#include "train/png.h"
#include "train/resize.h"

namespace gesso {
namespace {

using namespace std::string_literals;
using Pixels = std::vector<std::uint8_t>;

std::string grey_png(const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
Image row_of(const Pixels& pixels) {
  Image image({1, std::ssize(pixels), 1});
  image.pixels = pixels;
  return image;
}
// Each pixel is its column.
Image columns(std::int64_t height, std::int64_t width) {
  Image image({height, width, 1});
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::uint8_t>(static_cast<std::int64_t>(i) % width);
  return image;
}
Image seen(const Dataset& data, std::int64_t index, const View& view) {
  Image image(data.image_shape());
  std::int32_t label = 0;
  data.read(index, view, image.pixels, label);
  return image;
}

// All files train, whatever their names hash to.
FolderOptions all_of(const Path& path, std::int64_t size = 8) {
  return {.path = path, .size = size, .channels = 1, .validation = 0, .max_bad = 0};
}

TEST_SUITE("folder") {
  TEST_CASE("resizing weighs by a triangle, as wide as a new pixel where the picture shrinks") {
    // By hand. 4 to 2: a new pixel's triangle reaches 2 old ones; weights 3:3:1 of the first three old pixels.
    CHECK(resized(row_of({0, 100, 200, 50}), 1, 2).pixels == Pixels{71, 121});  // 500 / 7 and 850 / 7
    CHECK(resized(row_of({0, 100}), 1, 4).pixels == Pixels{0, 25, 75, 100});
    CHECK(resized(row_of({9, 9, 9, 9, 9, 9, 9}), 3, 5).pixels == Pixels(15, 9));
    CHECK(resized(row_of({0, 255, 0, 255, 0, 255, 0, 255}), 1, 1).pixels == Pixels{128});  // nothing aliases
    Image16 wide({1, 2, 1});
    wide.pixels = {0, 65535};
    CHECK(resized(wide, 1, 4).pixels == std::vector<std::uint16_t>{0, 16384, 49151, 65535});
    // Along columns as along rows, each channel by itself.
    Image colour({2, 1, 3});
    colour.pixels = {0, 10, 200, 100, 10, 0};
    CHECK(resized(colour, 4, 1).pixels == Pixels{0, 10, 200, 25, 10, 150, 75, 10, 50, 100, 10, 0});
    CHECK(resized_to_cover(columns(10, 20), 5).shape == ImageShape{5, 10, 1});
    CHECK(resized_to_cover(columns(33, 10), 20).shape == ImageShape{66, 20, 1});
    expect_error(ErrorKind::usage, {"0x5", "1x2x1"}, [] { resized(row_of({1, 2}), 0, 5); });
  }

  TEST_CASE("a part is cut out where it lies within the picture, and refused elsewhere") {
    CHECK(cropped(columns(4, 6), 1, 2, 2, 3).pixels == Pixels{2, 3, 4, 2, 3, 4});
    expect_error(ErrorKind::usage, {"2x3 from (3, 2)", "4x6x1"}, [] { cropped(columns(4, 6), 3, 2, 2, 3); });
    expect_error(ErrorKind::usage, {"(0, -1)"}, [] { cropped(columns(4, 6), 0, -1, 2, 3); });
  }

  TEST_CASE("folders are the classes, in the order of their names; files lie as deep as they like") {
    TemporaryDirectory directory;
    for (const char* name : {"dog", "cat", "cat/deep", ".git"}) std::filesystem::create_directory(directory / name);
    directory.write("dog/a.png", grey_png(Image({8, 8, 1}, 1)));
    directory.write("cat/deep/b.JPG", grey_png(Image({8, 8, 1}, 2)));
    directory.write("cat/no-ending", grey_png(Image({8, 8, 1}, 3)));
    directory.write("cat/labels.csv", "a,b,c");
    directory.write(".git/x.png", "no picture");
    directory.write("cat/.DS_Store", "no picture");
    const auto data = open_folder_dataset(all_of(directory.path()), Split::train);
    REQUIRE(data->size() == 3);
    CHECK(data->classes() == 2);
    CHECK(data->class_name(0) == "cat");
    const Batch batch = read_batch(*data, {0, 1, 2});
    CHECK(batch.labels == std::vector<std::int32_t>{0, 0, 1});
    CHECK(batch.images[0] == 2);
    CHECK(batch.images[64] == 3);
    CHECK(batch.images[128] == 1);
    CHECK(data->skipped().empty());
    directory.write("beside.png", grey_png(Image({8, 8, 1}, 4)));
    FolderOptions options = all_of(directory.path());
    expect_error(ErrorKind::data, {"1 of 4", "data.max_bad=0.25", "'beside.png'", "no class; data.classes=false"},
                 [&] { open_folder_dataset(options, Split::train); });
    options.max_bad = 0.25;
    CHECK(open_folder_dataset(options, Split::train)->size() == 3);
  }

  TEST_CASE("labels follow from the pictures: no folder without any moves one, and none of a run is data") {
    TemporaryDirectory directory;
    for (const char* name : {"ant", "cat-2", "cat", "zebra"}) {
      std::filesystem::create_directory(directory / name);
      directory.write(name + "/a.png"s, grey_png(Image({8, 8, 1}, 1)));
    }
    const auto expect_classes = [&](const std::vector<std::string>& wanted) {
      const auto data = open_folder_dataset(all_of(directory.path()), Split::train);
      std::vector<std::string> classes;
      for (std::int64_t i = 0; i < data->classes(); ++i) classes.push_back(data->class_name(i));
      CHECK(classes == wanted);
      CHECK(data->size() == std::ssize(wanted));
      for (std::int64_t i = 0; i < data->size(); ++i) CHECK(read_batch(*data, {i}).images[0] == 1);
      const std::vector<std::string> files = {"ant/a.png", "cat-2/a.png", "cat/a.png", "zebra/a.png"};
      const FolderListing listing = list_folder(directory.path());
      for (const ListedFile& file : listing.files)
        if (std::ranges::find(files, file.name) != files.end())
          CHECK(listing.classes.at(static_cast<std::size_t>(file.label)) == file.name.substr(0, file.name.find('/')));
    };
    const std::vector<std::string> wanted = {"ant", "cat", "cat-2", "zebra"};
    expect_classes(wanted);
    std::filesystem::create_directories(directory / "empty/deep");
    std::filesystem::create_directories(directory / "notes");
    directory.write("notes/labels.csv", "a,b");
    for (const char* run : {"runs/begun", "runs/old", "cat/run", "lone"}) {  // with what gesso train writes first
      std::filesystem::create_directories(directory / run / "samples");
      directory.write(run + "/config.json"s, "{}");
      directory.write(run + "/samples/step-00000001.png"s, grey_png(Image({8, 8, 1}, 9)));
      directory.write(run + "/"s + (run == "runs/old"s ? "metrics.jsonl" : "lock"), "");
    }
    expect_classes(wanted);
    directory.write("runs/page.html", "<html>");
    directory.write("runs/.DS_Store", "");
    expect_classes(wanted);
    directory.write("config.json", "{}");  // some other program's
    directory.write("cat/config.json", "{}");
    expect_classes(wanted);
    for (const std::string& name : wanted) std::filesystem::remove_all(directory / name);
    directory.write("beside.png", grey_png(Image({8, 8, 1}, 1)));
    CHECK(open_folder_dataset(all_of(directory.path()), Split::train)->classes() == 0);
  }

  TEST_CASE("a run may lie among its pictures, and goes on with them") {
    const TemporaryDirectory directory;
    const Path pets = directory / "pets", run = pets / "runs/one";
    std::filesystem::create_directory(pets);
    std::mt19937_64 random(test_seed());
    for (const char* name : {"pets/ant", "pets/cat", "pets/zebra"}) {
      std::filesystem::create_directory(directory / name);
      for (int i = 0; i < 6; ++i) directory.write(fmt::format("{}/{}.png", name, i), grey_png(scene(random, 8, 8, 1)));
    }
    const auto done = [&](const std::vector<std::string>& words) {
      const Program program = run_program(directory.path(), words);
      CHECK_MESSAGE(program.exit_code == 0, program.errors);
      return program.out + program.errors;
    };
    const auto facts = [&] {
      return nlohmann::json::parse(done({"data", "info", pets, "data.classes=true", "--json"}).c_str());
    };
    const nlohmann::json before = facts();
    CHECK(before["classes"].size() == 3);
    CHECK(before["runs"].empty());
    (void)done({"train", "vqvae", "--data", pets, "--out", run, "train.steps=1", "model.hidden=4", "data.classes=true",
                "sample.count=2"});
    (void)done({"report", run, "--out", pets / "runs/page.html"});
    nlohmann::json after = facts();
    CHECK(after["classes"] == before["classes"]);
    CHECK(after["runs"] == nlohmann::json({"runs/one"}));
    const std::string told = "1 folder of a run, with all in it: 'runs/one'";
    for (const char* look : {"info", "scan"})
      CHECK(done({"data", look, pets}).find("left out    " + told) != std::string::npos);
    CHECK(done({"train", "vqvae", "--resume", "--out", run, "train.steps=2"}).find("left out     " + told) !=
          std::string::npos);
    const std::string all_of_it = "left out: 1 folder of a run, with all in it: 'one'";
    for (const char* look : {"info", "scan"}) {
      const Program none = run_program(directory.path(), {"data", look, pets / "runs"});
      CHECK(none.exit_code == static_cast<int>(ErrorKind::data));
      CHECK_MESSAGE(none.errors.find(all_of_it) != std::string::npos, none.errors);
    }
    const Program none = run_program(
        directory.path(), {"data", "info", pets / "runs", "data.size=8", "data.channels=1", "data.validation=0.5"});
    CHECK_MESSAGE(none.errors.find("to train on, in it or in folders below it; name another folder; " + all_of_it) !=
                      std::string::npos,
                  none.errors);
  }

  TEST_CASE("without folders there are no classes") {
    TemporaryDirectory directory;
    directory.write("b.png", grey_png(Image({8, 8, 1}, 2)));
    directory.write("a.png", grey_png(Image({8, 8, 1}, 1)));
    const auto data = open_folder_dataset(all_of(directory.path()), Split::train);
    CHECK(data->classes() == 0);
    CHECK(data->image(0).pixels == Pixels(64, 1));
    CHECK(data->image(1).pixels == Pixels(64, 2));
  }

  TEST_CASE(
      "links out of the folder, to folders and to nothing, pipes and odd names are told, and none of them hangs") {
    TemporaryDirectory directory;
    std::filesystem::create_directory(directory / "data");
    directory.write("secret.png", grey_png(Image({8, 8, 1})));
    directory.write("data/good.png", grey_png(Image({8, 8, 1})));
    directory.write("data/odd\n\x1B[31m\xFF.png", "no picture");
    std::filesystem::create_symlink("../secret.png", directory / "data/escape.png");
    std::filesystem::create_symlink("good.png", directory / "data/inside.png");
    std::filesystem::create_symlink("nowhere", directory / "data/nothing.png");
    std::filesystem::create_directory_symlink(".", directory / "data/up");
    REQUIRE(mkfifo((directory / "data/pipe.png").c_str(), 0600) == 0);
    FolderOptions options = all_of(directory / "data");
    options.max_bad = 1;
    const auto data = open_folder_dataset(options, Split::train);
    CHECK(data->size() == 2);
    const std::vector<std::string> wanted = {"'escape.png' is a link out of the folder",
                                             "'nothing.png' is a link to nothing", "'odd\\x0a\\x1b[31m\\xff.png'",
                                             "'pipe.png' is neither a file nor a folder", "'up' is a link to a folder"};
    REQUIRE(data->skipped().size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i)
      CHECK_MESSAGE(data->skipped()[i].starts_with(wanted[i]), data->skipped()[i]);
  }

  TEST_CASE("a file's name never steers a terminal, whatever is wrong with the file") {
    TemporaryDirectory directory;
    directory.write("good.png", grey_png(Image({8, 8, 1})));
    std::filesystem::resize_file(directory.write("large\n\x1B[31m.png", ""), kMaxPictureBytes + 1);  // holes, no blocks
    std::filesystem::create_symlink("loop\n\x1B.png", directory / "loop\n\x1B.png");
    FolderOptions options = all_of(directory.path());
    options.max_bad = 1;
    const auto data = open_folder_dataset(options, Split::train);
    REQUIRE(data->skipped().size() == 2);
    CHECK(data->skipped()[0].find("large\\x0a\\x1b[31m.png") != std::string::npos);
    CHECK(data->skipped()[1].starts_with("'loop\\x0a\\x1b.png' cannot be looked at: "));
    for (const std::string& reason : data->skipped())
      CHECK_MESSAGE(std::ranges::none_of(reason, [](char c) { return c >= 0 && c < ' '; }), reason);
  }

  TEST_CASE("a folder below that cannot be listed, or lies too deep, is no file among others: nothing opens") {
    TemporaryDirectory directory;
    directory.write("good.png", grey_png(Image({8, 8, 1})));
    FolderOptions options = all_of(directory.path());
    options.max_bad = 1;
    const auto refused = [&](const std::vector<std::string>& words) {
      expect_error(ErrorKind::io, words, [&] { open_folder_dataset(options, Split::train); });
    };
    std::string deep = "deep";
    for (int i = 1; i < 33; ++i) deep += "/deep";
    std::filesystem::create_directories(directory / deep);
    refused({"'deep/", "more than 32 folders deep", "move it out"});
    std::filesystem::remove_all(directory / "deep");
    if (geteuid() == 0) return;  // who may list any folder
    std::filesystem::create_directory(directory / "closed");
    REQUIRE(chmod((directory / "closed").c_str(), 0) == 0);
    refused({"'closed/'", "cannot list", "make it readable"});
  }

  TEST_CASE("the samples of a folder are known by their names and contents, not by where it lies") {
    TemporaryDirectory directory;
    for (const char* folder : {"one", "other"}) {
      std::filesystem::create_directory(directory / folder);
      directory.write(folder + "/a.png"s, grey_png(columns(8, 11)));
      directory.write(folder + "/b.png"s, grey_png(columns(8, 12)));
    }
    const auto contents = [&](const char* folder) {
      return open_folder_dataset(all_of(directory / folder), Split::train)->contents().value();
    };
    CHECK(contents("one") == contents("other"));
    Image altered = columns(8, 12);
    altered.pixels[5] ^= 1;
    directory.write("other/b.png", grey_png(altered));
    CHECK(contents("one") != contents("other"));
    std::filesystem::rename(directory / "one/b.png", directory / "one/c.png");
    const std::uint64_t renamed = contents("one");
    std::filesystem::rename(directory / "one/c.png", directory / "one/b.png");
    CHECK(contents("one") != renamed);
  }

  TEST_CASE("a folder that cannot be used says what was expected") {
    TemporaryDirectory directory;
    const auto refused = [&](const Path& path, const std::vector<std::string>& words, Split split = Split::train) {
      expect_error(ErrorKind::data, words, [&] { open_folder_dataset(all_of(path), split); });
    };
    refused(directory / "nowhere", {"nowhere", "no directory", "PNG and JPEG"});
    refused(directory.write("file", "x"), {"no directory"});
    std::filesystem::create_directory(directory / "empty");
    refused(directory / "empty", {"empty", "no PNG or JPEG to train on"});
    directory.write("empty/a.png", grey_png(Image({8, 8, 1})));
    refused(directory / "empty", {"to test with", "data.validation", "0 of the files"}, Split::validation);
    directory.write("empty/long.png", grey_png(Image({8, 65, 1})));
    refused(directory / "empty", {"1 of 2", "'long.png': 65x8", "8 times as long", "go on without them"});
    std::filesystem::remove(directory / "empty/a.png");  // then none is left to go on with
    refused(directory / "empty", {"1 of 1", "mend or remove them (gesso data scan lists all): 'long.png'"});
  }

  TEST_CASE("a file stays in its split when others join, and the splits share the files by the given part") {
    std::set<std::string> validation;
    int count = 0;
    for (int i = 0; i < 10'000; ++i) {
      const std::string name = fmt::format("class/{}.png", i);
      if (is_validation(name, 0.1)) validation.insert(name);
      count += is_validation(name, 0.3) ? 1 : 0;
      if (is_validation(name, 0.1)) CHECK(is_validation(name, 0.3));
      CHECK_FALSE(is_validation(name, 0));
      CHECK(is_validation(name, 1));
    }
    CHECK(validation.size() > 880);  // 1000 expected, deviation 30
    CHECK(validation.size() < 1120);
    CHECK(count > 2800);
    CHECK(count < 3200);
    TemporaryDirectory directory;
    for (int i = 0; i < 12; ++i)
      directory.write(fmt::format("{}.png", i), grey_png(Image({8, 8, 1}, static_cast<std::uint8_t>(i))));
    FolderOptions options = all_of(directory.path());
    options.validation = 0.4;
    const auto train = open_folder_dataset(options, Split::train),
               test = open_folder_dataset(options, Split::validation);
    CHECK(train->size() + test->size() == 12);
    for (const auto& [data, wanted] : {std::pair(train.get(), false), std::pair(test.get(), true)})
      for (std::int64_t i = 0; i < data->size(); ++i)
        CHECK(is_validation(fmt::format("{}.png", data->image(i).pixels[0]), 0.4) == wanted);
  }

  TEST_CASE("a view chooses the crop along the longer side, each place by the same share, and flips") {
    TemporaryDirectory directory;
    directory.write("a.png", grey_png(columns(8, 11)));
    FolderOptions options = all_of(directory.path());
    const auto middle = open_folder_dataset(options, Split::train);
    options.crop_anywhere = true;
    const auto data = open_folder_dataset(options, Split::train);
    const auto first_column = [&](double x) { return int{seen(*data, 0, {.x = x}).pixels[0]}; };
    CHECK(first_column(0) == 0);
    CHECK(first_column(0.24) == 0);
    CHECK(first_column(0.26) == 1);
    CHECK(first_column(0.5) == 2);
    CHECK(first_column(0.99) == 3);
    CHECK(seen(*data, 0, {.flip = true}).pixels[0] == 9);
    CHECK(int{middle->image(0).pixels[0]} == 2);
    CHECK(middle->image(0).pixels == data->image(0).pixels);
    CHECK(seen(*middle, 0, {.x = 0.99}).pixels == middle->image(0).pixels);
    CHECK(middle->identity() == data->identity());
  }

  TEST_CASE("a flip exchanges left and right of whole pixels, whatever their size") {
    class Pair final : public Dataset {
     public:
      explicit Pair(DType dtype) : Dataset({"pair", 1, {2, 3, 3}, {}, dtype}) {}

     private:
      void read_checked(std::int64_t, const View&, std::span<std::uint8_t> image, std::int32_t&) const override {
        for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i);
      }
    };
    for (const DType dtype : {DType::u8, DType::u16}) {
      const Pair data(dtype);
      const std::size_t pixel = 3 * size_of(dtype);
      Pixels image(data.image_bytes());
      std::int32_t label = 0;
      data.read(0, {.flip = true}, image, label);
      for (std::size_t i = 0; i < image.size(); ++i) {
        const std::size_t row = i / (3 * pixel), column = i / pixel % 3;
        CHECK(image[i] == (row * 3 + 2 - column) * pixel + i % pixel);
      }
    }
  }

  TEST_CASE("views are drawn evenly and depend on seed, step and sample alone") {
    const Augmentation both{.flip = true, .crop = true, .seed = test_seed()};
    int flips = 0;
    double sum = 0;
    std::set<double> places;
    for (std::int64_t step = 0; step < 100; ++step)
      for (std::int64_t sample = 0; sample < 100; ++sample) {
        const View view = both.view(step, sample);
        CHECK((view.x >= 0 && view.x < 1 && view.y >= 0 && view.y < 1));
        flips += view.flip ? 1 : 0;
        sum += view.x + view.y;
        places.insert(view.x);
      }
    CHECK(std::abs(flips - 5000) < 300);  // deviation 50
    CHECK(std::abs(sum - 10'000) < 300);  // deviation 41
    CHECK(places.size() > 9900);
    const View plain = Augmentation{.seed = 1}.view(3, 4);
    CHECK((plain.x == 0.5 && plain.y == 0.5 && !plain.flip));
    CHECK(Augmentation{.crop = true, .seed = 1}.view(3, 4).x != Augmentation{.crop = true, .seed = 2}.view(3, 4).x);
  }

  TEST_CASE("what is kept in memory and how many threads decode changes nothing; 16 bits and colour are kept") {
    TemporaryDirectory directory;
    const Path folder = write_mixed_folder(directory, "mixed", 40, test_seed());
    FolderOptions options{
        .path = folder, .size = 24, .channels = 3, .crop_anywhere = true, .validation = 0, .max_bad = 0.1};
    for (const int bits : {8, 16}) {
      options.bits = bits;
      options.cache_bytes = 1 << 30;
      const auto cached = open_folder_dataset(options, Split::train);
      options.cache_bytes = 20'000;
      const auto decoded = open_folder_dataset(options, Split::train);
      CHECK(cached->size() == 37);
      CHECK(cached->skipped() == decoded->skipped());
      CHECK(cached->identity() == decoded->identity());
      CHECK(cached->image_bytes() == static_cast<std::size_t>(24 * 24 * 3 * bits / 8));
      const SampleOrder order(cached->places(), 9, 1);
      DataLoaderOptions loading{.augmentation = {.flip = true, .crop = true, .seed = 1}};
      DataLoader one(*cached, order, loading);
      loading.threads = 3;
      DataLoader three(*decoded, order, loading);
      for (int step = 0; step < 6; ++step) REQUIRE(one.next().images == three.next().images);
    }
  }

  TEST_CASE("two hundred mixed pictures train, and the run says which three it skipped") {
    TemporaryDirectory directory;
    const Path folder = write_mixed_folder(directory, "mixed", 200, test_seed());
    const Path run = directory / "run";
    const std::vector<std::string> settings = {"data.size=16",   "train.batch=8",           "train.steps=3",
                                               "model.hidden=8", "model.residual_hidden=4", "model.code_width=4",
                                               "model.codes=16", "sample.count=4",          "log.every=1"};
    std::vector<std::string> arguments = {"train", "vqvae-folder", "--data", folder.string(),
                                          "--out", run.string(),   "--json"};
    arguments.insert(arguments.end(), settings.begin(), settings.end());
    const Program done = run_program(directory.path(), arguments);
    CHECK_MESSAGE(done.exit_code == 0, done.errors);
    CHECK(done.errors.find("skipped      3 files") != std::string::npos);
    const std::string list = read_text_file(run / "skipped.txt", 1 << 20);
    CHECK(std::ranges::count(list, '\n') == 3);
    for (const char* name : kBrokenPictures) {
      CHECK(list.find(fmt::format("'{}'", name)) != std::string::npos);
      CHECK(done.errors.find(fmt::format("'{}'", name)) != std::string::npos);
    }
    CHECK(std::filesystem::exists(run / "samples" / "step-00000003.png"));
    arguments.push_back("data.max_bad=0.001");
    arguments[5] = (directory / "strict").string();
    const Program refused = run_program(directory.path(), arguments);
    CHECK(refused.exit_code == 3);
    CHECK_MESSAGE(refused.errors.find("data.max_bad=0.0") != std::string::npos, refused.errors);
    CHECK_FALSE(std::filesystem::exists(directory / "strict"));
  }
}

}  // namespace
}  // namespace gesso
