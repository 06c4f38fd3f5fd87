// What gesso chooses where a recipe says "auto".
#include "train/chosen_settings.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/expect_error.h"
#include "tests/mixed_pictures.h"
#include "tests/program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/folder_dataset.h"
#include "train/folder_listing.h"
#include "train/picture.h"
#include "train/png.h"
#include "train/resize.h"
#include "train/run.h"

namespace gesso {
namespace {

std::string png_text(const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Recipe vqvae for data at `path`, as far as it can be known before training.
class Prepared {
 public:
  Prepared(const Path& path, const std::vector<std::string>& more = {})
      : run(prepare_run({.recipe = "vqvae", .directory = path / "../run", .assignments = with(path, more)}, file)) {}

  bool says(const std::string& words) const { return recipe.about.chosen.find(words) != std::string::npos; }

 private:
  static std::vector<std::string> with(const Path& path, std::vector<std::string> more) {
    more.insert(more.begin(), "data.path=" + path.string());
    return more;
  }

 public:
  RecipeFile file;
  PreparedRun run;
  const Recipe& recipe = file.recipe();
};

// `count` pictures with noise, height and width drawn from `least` on.
void write_pictures(const TemporaryDirectory& directory, const std::string& folder, int count, std::int64_t least,
                    std::int64_t channels) {
  std::mt19937_64 random(test_seed());
  std::filesystem::create_directory(directory / folder);
  for (int i = 0; i < count; ++i) {
    const auto side = [&] { return least + static_cast<std::int64_t>(random() % 20); };
    directory.write(fmt::format("{}/{:04}.png", folder, i), png_text(scene(random, side(), side(), channels)));
  }
}

TEST_SUITE("chosen settings") {
  TEST_CASE("the size is the largest that the shorter side of three pictures in four reaches") {
    const auto size = [](std::vector<std::int64_t> sides) { return chosen_size(sides); };
    CHECK(size({64, 64, 64, 64}) == 64);
    CHECK(size({63, 64, 64, 64}) == 64);
    CHECK(size({64, 63, 64, 63}) == 32);
    CHECK(size({4000}) == 128);
    CHECK(size({8}) == 8);
    CHECK(size({7, 7, 400, 400}) == 0);
    CHECK(size({1, 127, 128, 5000}) == 64);
    CHECK(size({1, 128, 128, 5000}) == 128);
  }

  TEST_CASE("the share to test with is a tenth where that comes out, and else leaves files on both sides") {
    std::mt19937_64 random(test_seed());
    std::uniform_real_distribution<double> draw;
    for (int round = 0; round < 2000; ++round) {
      std::vector<double> places(2 + random() % 60);
      for (double& place : places) place = draw(random);
      const double share = chosen_validation(places);
      const auto tested = std::ranges::count_if(places, [&](double place) { return place < share; });
      INFO(places.size(), " files, share ", share);
      CHECK(tested >= 1);
      CHECK(tested < std::ssize(places));
      const double wanted = std::max(1.0, std::round(static_cast<double>(places.size()) / 10));
      CHECK(static_cast<double>(tested) >= wanted / 2);
      CHECK(static_cast<double>(tested) <= wanted * 2);
    }
    std::vector<double> many(1000);
    for (double& place : many) place = draw(random);
    CHECK(chosen_validation(many) == 0.1);
    CHECK(chosen_validation(std::vector<double>{0.5, 0.75}) == 0.63);
    CHECK(chosen_validation(std::vector<double>{0.98, 0.97}) == 0.98);
    CHECK(chosen_validation(std::vector<double>{0.0, 0x1p-53}) == 0x1p-53);
  }

  TEST_CASE("a folder of colour pictures trains as the rules say, and the record says what was chosen and why") {
    const TemporaryDirectory directory;
    write_pictures(directory, "photos", 60, 70, 3);
    const Prepared chosen(directory / "photos");
    const Recipe& recipe = chosen.recipe;
    CHECK(recipe.data.kind == "folder");
    CHECK(recipe.data.size == 64);
    CHECK(recipe.data.channels == 3);
    CHECK(recipe.data.crop == Crop::random);
    CHECK(recipe.data.flip);
    CHECK(recipe.vqvae.hidden == 64);
    CHECK(recipe.vqvae.quantizer.width == 32);
    const std::int64_t trained = chosen.run.data->size();
    CHECK(trained >= 48);
    CHECK(trained < 60);
    CHECK(recipe.train.batch == trained / 4);  // 256 codes a picture: 64 pictures would have 16384
    CHECK(recipe.vqvae.quantizer.codes == 512);
    CHECK(recipe.train.steps == 1000);
    CHECK(recipe.schedule.horizon == 1000);
    CHECK(recipe.schedule.warmup == 50);
    CHECK(recipe.log.every == 10);
    CHECK(recipe.checkpoint.every == 100);
    CHECK(recipe.sample.every == 100);
    for (const char* words : {"data.kind=folder: ", "data.size=64: ", "60 were looked at", "data.channels=3: not all",
                              "data.validation=0.", "of 60 pictures to test with", "train.batch=", "256 a picture",
                              "model.codes=512: ", "train.steps=1000: ", "schedule.horizon=1000: as train.steps"})
      CHECK_MESSAGE(chosen.says(words), words, " in ", recipe.about.chosen);
    CHECK(text_of(recipe).find(": \"auto\"") == text_of(recipe).rfind(": \"auto\""));  // conv.algorithm's own
  }

  TEST_CASE("what is given explicitly wins, and what follows goes by it") {
    const TemporaryDirectory directory;
    write_pictures(directory, "photos", 40, 70, 1);
    const Prepared chosen(directory / "photos", {"data.size=16", "data.channels=3", "train.steps=30", "train.batch=5",
                                                 "model.hidden=10", "data.flip=false", "data.validation=0.3"});
    const Recipe& recipe = chosen.recipe;
    CHECK(recipe.data.size == 16);
    CHECK(recipe.data.channels == 3);
    CHECK(recipe.data.validation == 0.3);
    CHECK(!recipe.data.flip);
    CHECK(recipe.train.batch == 5);
    CHECK(recipe.vqvae.hidden == 10);
    CHECK(recipe.vqvae.quantizer.width == 5);
    CHECK(recipe.vqvae.quantizer.codes == 16);  // 5 pictures of 16 codes: a quarter of 80 is 20
    CHECK(recipe.train.steps == 30);
    CHECK(recipe.schedule.horizon == 30);
    CHECK(recipe.schedule.warmup == 3);
    for (const char* key :
         {"data.size", "data.channels", "data.validation", "data.flip", "train.batch", "train.steps", "model.hidden"})
      CHECK_MESSAGE(!chosen.says(key + std::string("=")), key);
    CHECK(Prepared(directory / "photos").recipe.data.channels == 1);
    const Prepared whole(directory / "photos", {"data.validation=0.1"});
    const Prepared parts(directory / "photos", {"data.validation=0.1", "train.accumulate=3"});
    CHECK(whole.recipe.train.batch >= 3);  // a quarter of the pictures
    CHECK(parts.recipe.train.batch == whole.recipe.train.batch / 3);
  }

  TEST_CASE("pictures may lie beside folders, and sizes of data sets are their own") {
    const TemporaryDirectory directory;
    write_pictures(directory, "photos", 9, 32, 3);
    write_pictures(directory, "photos/2019", 9, 32, 3);
    directory.write("photos/notes.txt", "no picture");
    const Prepared mixed(directory / "photos");
    CHECK(mixed.run.data->classes() == 0);
    CHECK(mixed.recipe.data.size == 32);
    CHECK(mixed.recipe.vqvae.hidden == 128);
    CHECK(mixed.says("of 18 pictures to test with; left out as no PNG or JPEG: 1"));
    const Prepared drawn(directory.path(), {"data.kind=shapes", "data.path=", "data.count=50", "data.size=24"});
    CHECK(drawn.recipe.data.size == 24);
    CHECK(drawn.recipe.data.crop == Crop::center);
    CHECK(!drawn.says("data."));
    CHECK(drawn.recipe.train.batch == 12);
  }

  TEST_CASE("of many files the pictures are looked at, whatever lies between them") {
    const TemporaryDirectory directory;
    std::filesystem::create_directory(directory / "captioned");
    const std::string png = png_text(Image({40, 50, 1}, 90));
    for (int i = 0; i < 1000; ++i) {
      directory.write(fmt::format("captioned/{:04}.png", i), png);
      directory.write(fmt::format("captioned/{:04}.txt", i), "a grey picture");
    }
    RecipeFile file;
    file.config().load_file(recipe_path("vqvae"));
    file.config().assign("data.path=" + (directory / "captioned").string());
    choose_data_settings(file);
    CHECK(file.recipe().data.size == 32);
    CHECK(file.recipe().data.channels == 1);
    CHECK(file.recipe().about.chosen.find("1000 were looked at") != std::string::npos);
    CHECK(file.recipe().about.chosen.find("of 1000 pictures to test with") != std::string::npos);
  }

  TEST_CASE("two pictures train, and too few, too small or unreadable ones are refused with the reason") {
    const TemporaryDirectory directory;
    write_pictures(directory, "two", 2, 40, 3);
    const Prepared two(directory / "two");
    CHECK(two.run.data->size() == 1);
    CHECK(two.recipe.train.batch == 1);
    CHECK(two.recipe.vqvae.quantizer.codes == 16);

    const auto refused = [&](const std::string& folder, const std::vector<std::string>& words,
                             ErrorKind kind = ErrorKind::data) {
      INFO(folder);
      expect_error(kind, words, [&] { Prepared(directory / folder); });
    };
    refused("nowhere", {"nowhere", "there is no such folder"});
    std::filesystem::create_directory(directory / "empty");
    refused("empty", {"empty: no PNG or JPEG that can be read among its 0 files"});
    std::filesystem::create_directory(directory / "texts");
    directory.write("texts/a.txt", "no picture");
    directory.write("texts/b.png", "nor this");
    refused("texts", {"among its 2 files", "'b.png': neither PNG nor JPEG"});
    write_pictures(directory, "one", 1, 40, 3);
    refused("one", {"a single picture", "at least two"});
    write_pictures(directory, "tiny", 20, 1, 1);
    for (int i = 0; i < 20; ++i) directory.write(fmt::format("tiny/small{}.png", i), png_text(Image({5, 90, 1}, 9)));
    refused("tiny", {"below 8 pixels", "data.size=8"});
    expect_error(ErrorKind::usage, {"data.path is empty", "--data"}, [] {
      RecipeFile file;
      prepare_run({.recipe = "vqvae", .directory = "nowhere"}, file);
    });
    if (geteuid() == 0) return;  // who may read anything
    write_pictures(directory, "closed", 3, 40, 3);
    REQUIRE(chmod((directory / "closed").c_str(), 0) == 0);
    refused("closed", {"closed", "Permission denied"}, ErrorKind::io);
    chmod((directory / "closed").c_str(), 0700);
    for (int i = 0; i < 3; ++i) REQUIRE(chmod((directory / fmt::format("closed/{:04}.png", i)).c_str(), 0) == 0);
    refused("closed", {"no PNG or JPEG that can be read among its 3 files", "Permission denied"});
  }

  TEST_CASE("the headers of all kinds of files say what decoding gives") {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 10; ++round)
      for (int kind = 0; kind < 10; ++kind) {
        const std::string file = mixed_picture(random, kind);
        const auto bytes = std::as_bytes(std::span(file));
        const ImageShape said = picture_shape(bytes, "case"), is = decode_picture(bytes, "case").shape;
        CHECK(std::min(said.height, said.width) == std::min(is.height, is.width));
        CHECK(said.channels == is.channels);
        expect_error(ErrorKind::data, {"case"}, [&] { picture_shape(bytes.first(20), "case"); });
      }
  }

  TEST_CASE("one picture in every format looks the same to a model") {
    // Bright at one corner: a wrong turn or crop shows.
    Image colour({60, 90, 3});
    std::size_t at = 0;
    for (std::int64_t y = 0; y < 60; ++y)
      for (std::int64_t x = 0; x < 90; ++x)
        for (std::int64_t c = 0; c < 3; ++c) colour.pixels[at++] = static_cast<std::uint8_t>(20 + 2 * y + x + 5 * c);
    Image with_alpha({60, 90, 4});
    for (std::size_t i = 0; i < colour.pixels.size(); ++i) with_alpha.pixels[i / 3 * 4 + i % 3] = colour.pixels[i];
    for (std::size_t i = 3; i < with_alpha.pixels.size(); i += 4) with_alpha.pixels[i] = 255;
    Image turned({90, 60, 3});  // stored on its side: Exif's 6 turns it clockwise
    for (std::int64_t y = 0; y < 60; ++y)
      for (std::int64_t x = 0; x < 90; ++x)
        std::copy_n(&colour.pixels[static_cast<std::size_t>((y * 90 + x) * 3)], 3,
                    &turned.pixels[static_cast<std::size_t>(((89 - x) * 60 + y) * 3)]);
    const TemporaryDirectory directory;
    const auto png = [](const Image& image, char depth, char kind, const std::string& before = "") {
      return handmade_png({static_cast<std::uint32_t>(image.shape.width),
                           static_cast<std::uint32_t>(image.shape.height), depth, kind, png_rows(image, depth),
                           before});
    };
    directory.write("a.png", png(colour, 8, 2));
    directory.write("b.png", png(colour, 16, 2));
    directory.write("c.png", png(with_alpha, 8, 6));
    directory.write("d.png", png(with_alpha, 16, 6));
    directory.write("e.png", png(turned, 8, 2, png_chunk("eXIf", exif_block(6))));
    directory.write("f.jpg", handmade_jpeg(colour));
    directory.write("g.jpg", handmade_jpeg(colour, {.progressive = true}));
    directory.write("h.jpeg", handmade_jpeg(turned, {.exif = exif_block(6)}));
    const auto data =
        open_folder_dataset({.path = directory.path(), .size = 30, .validation = 0, .max_bad = 0}, Split::train);
    REQUIRE(data->size() == 8);
    const Image wanted = cropped(resized_to_cover(colour, 30), 0, 8, 30, 30);  // the middle of 30x45
    for (std::int64_t i = 0; i < data->size(); ++i) {
      const Image seen = data->image(i);
      int most = 0;
      for (std::size_t k = 0; k < seen.pixels.size(); ++k)
        most = std::max(most, std::abs(seen.pixels[k] - wanted.pixels[k]));
      CHECK_MESSAGE(most <= (i < 5 ? 0 : 2), "picture ", i, " differs by ", most);
    }
  }

  TEST_CASE("a folder of all formats trains in one line, says so, and goes on to the same bits") {
    const TemporaryDirectory directory;
    const Path folder = write_mixed_folder(directory, "mixed", 60, 1);
    const auto train = [&](const std::string& run, int steps, bool resume) {
      std::vector<std::string> words = {"train", "vqvae", "--out", directory / run,
                                        fmt::format("train.steps={}", steps)};
      const std::vector<std::string> fresh = {"--data", folder, "schedule.horizon=6", "model.hidden=8",
                                              "sample.count=4"};
      if (resume)
        words.push_back("--resume");
      else
        words.insert(words.end(), fresh.begin(), fresh.end());
      const Program program = run_program(directory.path(), words);
      REQUIRE_MESSAGE(program.exit_code == 0, program.errors);
      return program.errors;
    };
    const std::string told = train("whole", 6, false);
    for (const char* words :
         {"chosen       data.kind=folder: ", "             data.size=16: ", "train.batch=13: ", "skipped      3 files"})
      CHECK_MESSAGE(told.find(words) != std::string::npos, words, " in ", told);
    train("stopped", 3, false);
    train("stopped", 6, true);
    const auto weights = [&](const std::string& run) {
      return read_text_file(directory / run / "checkpoints/step-00000006/weights.safetensors", 1 << 26);
    };
    CHECK(weights("whole") == weights("stopped"));
    const auto config = nlohmann::json::parse(read_text_file(directory / "stopped/config.json", 1 << 20));
    CHECK(config["data"]["size"] == 16);
    CHECK(config["train"]["batch"] == 13);
    CHECK(config["about"]["chosen"].get<std::string>().find("data.size=16: of 8, 16") != std::string::npos);
    const Program plan = run_program(directory.path(), {"train", "vqvae", "--data", folder, "--dry-run"});
    CHECK(plan.out.find("chosen       data.kind=folder") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
