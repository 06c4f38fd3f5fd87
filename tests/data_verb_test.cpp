// gesso data, and what it draws with.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/expect_error.h"
#include "tests/mixed_pictures.h"
#include "tests/program.h"
#include "tests/temporary_directory.h"
#include "train/chosen_settings.h"
#include "train/contact_sheet.h"
#include "train/font.h"
#include "train/picture.h"
#include "train/png.h"
#include "train/run.h"

namespace gesso {
namespace {

std::string png_text(const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

nlohmann::json last_object(const Program& program) {
  CHECK_MESSAGE(program.exit_code == 0, program.errors);
  return nlohmann::json::parse(program.out);
}

TEST_SUITE("data verb") {
  TEST_CASE("every letter has a shape of its own, within its cell; what is no letter becomes a question mark") {
    std::set<std::vector<std::uint8_t>> shapes;
    for (char letter = ' '; letter <= '~'; ++letter) {
      Image image({kLetterHeight + 2, kLetterWidth + 2, 1});
      draw_text(image, 1, 1, std::string(1, letter), 255);
      shapes.insert(image.pixels);
      for (std::int64_t y = 0; y < image.shape.height; ++y)
        for (std::int64_t x = 0; x < image.shape.width; ++x)
          if (y == 0 || x == 0 || y > kLetterHeight || x > kLetterWidth)
            CHECK(image.pixels[static_cast<std::size_t>(y * image.shape.width + x)] == 0);
      if (letter != ' ') CHECK(std::ranges::count(image.pixels, 255) >= 1);
    }
    CHECK(shapes.size() == 95);
    Image known({8, 5, 3}), unknown({8, 5, 3}), beyond({8, 5, 3});
    draw_text(known, 0, 0, "?", 9);
    draw_text(unknown, 0, 0, "\xC3", 9);
    CHECK(known.pixels == unknown.pixels);
    draw_text(beyond, -3, -2, "????", 9);
    draw_text(beyond, 100, 100, "????", 9);
    CHECK(std::ranges::count(beyond.pixels, 9) > 0);
  }

  TEST_CASE("a contact sheet shows each picture enlarged, with its label cut to its width") {
    std::vector<Image> pictures;
    for (const int grey : {10, 20, 30}) pictures.emplace_back(ImageShape{24, 36, 1}, static_cast<std::uint8_t>(grey));
    const Image sheet = contact_sheet(pictures, {"one", "a label that is far too long for one", "3"}, 2);
    CHECK(sheet.shape == ImageShape{2 * (72 + 10 + 4) + 4, 2 * (108 + 4) + 4, 3});
    const auto pixel = [&](std::int64_t y, std::int64_t x) {
      return int{sheet.pixels[static_cast<std::size_t>((y * sheet.shape.width + x) * 3)]};
    };
    CHECK(pixel(4, 4) == 10);
    CHECK(pixel(75, 111) == 10);
    CHECK(pixel(4, 116) == 20);
    CHECK(pixel(90, 4) == 30);
    CHECK(pixel(90, 116) == 255);
    for (std::int64_t y = 0; y < sheet.shape.height; ++y) CHECK(pixel(y, 224) == 255);  // no letter beyond
    Image two({72, 72, 2});
    two.pixels[0] = 7;
    two.pixels[1] = 8;
    const Image grey = contact_sheet({two}, {""});
    for (std::size_t c = 0; c < 3; ++c) CHECK(grey.pixels[(4 * 80 + 4) * 3 + c] == 7);
    expect_error(ErrorKind::usage, {"0 pictures"}, [] { contact_sheet({}, {}); });
    expect_error(ErrorKind::usage, {"1 pictures, 2 labels"}, [] { contact_sheet({Image({1, 1, 1})}, {"", ""}); });
    expect_error(ErrorKind::usage, {"2x1x1", "1x1x1"}, [] {
      contact_sheet({Image({1, 1, 1}), Image({2, 1, 1})}, {"", ""});
    });
    expect_error(ErrorKind::usage, {"contact sheet", "16384 a side"}, [] {
      contact_sheet({Image({1, 16384, 1})}, {""});
    });
  }

  TEST_CASE("data info tells sizes, classes, statistics and every file that was skipped") {
    const TemporaryDirectory directory;
    std::filesystem::create_directory(directory / "set");
    write_mixed_folder(directory, "set/apples", 43, 1);
    write_mixed_folder(directory, "set/pears\xFF", 33, 2);
    const std::string set = (directory / "set").string(), classes = "data.classes=true";
    const nlohmann::json facts =
        last_object(run_program(directory.path(), {"data", "info", set, classes, "data.size=16", "--json"}));
    CHECK(facts["kind"] == "folder");
    CHECK(facts["train"].get<int>() + facts["validation"].get<int>() == 70);
    CHECK(facts["height"] == 16);
    CHECK(facts["channels"] == 3);
    CHECK(facts["bits"] == 8);
    CHECK((facts["mean"] > 0.05 && facts["mean"] < 0.95));
    CHECK((facts["std"] > 0.01 && facts["std"] < 0.5));
    REQUIRE(facts["classes"].size() == 2);
    CHECK(facts["classes"][0]["name"] == "apples");
    CHECK(facts["classes"][0]["train"].get<int>() + facts["classes"][0]["validation"].get<int>() == 40);
    CHECK(facts["skipped"].size() == 6);
    const Program text = run_program(directory.path(), {"data", "info", set, classes, "data.bits=16", "data.size=32"});
    CHECK(text.exit_code == 0);
    for (const char* words : {"32x32x3, 16 bits", "apples", "skipped     6 files", "'apples/broken-cut.jpg'"})
      CHECK_MESSAGE(text.out.find(words) != std::string::npos, text.out);
  }

  TEST_CASE("data info and preview take a recipe, and preview draws its pictures") {
    const TemporaryDirectory directory;
    const std::vector<std::string> small = {"--recipe", "vqvae-shapes", "data.count=50", "data.test_count=20",
                                            "data.size=16"};
    std::vector<std::string> info = {"data", "info", "--json"};
    info.insert(info.end(), small.begin(), small.end());
    const nlohmann::json facts = last_object(run_program(directory.path(), info));
    CHECK(facts["kind"] == "shapes");
    CHECK(facts["train"] == 50);
    CHECK(facts["validation"] == 20);
    CHECK(facts["classes"].size() == 10);
    const std::string sheet = (directory / "sheet.png").string();
    std::vector<std::string> preview = {"data", "preview", "--out", sheet, "--count", "10", "--json"};
    preview.insert(preview.end(), small.begin(), small.end());
    CHECK(last_object(run_program(directory.path(), preview))["images"] == 10);
    CHECK(read_picture(sheet).shape == ImageShape{2 * (80 + 10 + 4) + 4, 8 * (80 + 4) + 4, 3});
  }

  TEST_CASE("data info counts no pictures to test with as 0, needs no path for shapes, and prints names as text") {
    const TemporaryDirectory directory;
    std::filesystem::create_directories(directory / "set/red\x1B[31m\n");
    std::mt19937_64 random(1);
    directory.write("set/red\x1B[31m\n/a.png", mixed_picture(random, 4));
    const std::string set = (directory / "set").string();
    const nlohmann::json facts =
        last_object(run_program(directory.path(), {"data", "info", set, "data.validation=0", "--json"}));
    CHECK(facts["train"] == 1);
    CHECK(facts["height"] == chosen_size(std::vector{facts["stored"]["height"][0].get<std::int64_t>(),
                                                     facts["stored"]["width"][0].get<std::int64_t>()}));
    CHECK(facts["validation"] == 0);
    const Program text = run_program(directory.path(), {"data", "info", set, "data.validation=0", "data.classes=true"});
    for (const char* words : {"train       1 image\n", "validation  0 images\n", "  red\\x1b[31m\\x0a "})
      CHECK_MESSAGE(text.out.find(words) != std::string::npos, text.out);
    CHECK(text.out.find('\x1B') == std::string::npos);
    const Program sheet =
        run_program(directory.path(), {"data", "preview", set, "data.validation=0", "--out", directory / "sheet.png"});
    CHECK(sheet.out == (directory / "sheet.png").string() + ": 1 of 1 picture\n");
    const nlohmann::json shapes = last_object(run_program(
        directory.path(), {"data", "info", "--kind", "shapes", "data.count=5", "data.test_count=2", "--json"}));
    CHECK(shapes["train"] == 5);
    CHECK(shapes["validation"] == 2);
  }

  TEST_CASE("data looks at a folder as training on it by recipe vqvae does") {
    const TemporaryDirectory directory;
    std::filesystem::create_directories(directory / "album/2024");
    for (const auto& [name, height, width] : {std::tuple("a", 70, 300), {"b", 400, 80}, {"c", 90, 90}, {"d", 200, 70}})
      for (const char* folder : {"album/", "album/2024/"})
        directory.write(fmt::format("{}{}.png", folder, name), png_text(Image({height, width, 1})));
    const std::string album = (directory / "album").string();
    RecipeFile file;
    const PreparedRun run = prepare_run(
        {.recipe = "vqvae", .directory = directory / "run", .assignments = {"data.path=" + album}, .look_only = true},
        file);
    const nlohmann::json facts = last_object(run_program(directory.path(), {"data", "info", album, "--json"}));
    CHECK(facts["train"] == run.data->size());
    CHECK(facts["validation"] == 8 - run.data->size());
    CHECK(facts["height"] == 64);
    CHECK(facts["channels"] == 1);
    CHECK(facts["stored"] == nlohmann::json({{"height", {70, 400}}, {"width", {70, 300}}}));
    const nlohmann::json scan = last_object(run_program(directory.path(), {"data", "scan", album, "--json"}));
    CHECK(scan["usable"] == 8);
    CHECK(scan["bad"].empty());
    const Program text = run_program(directory.path(), {"data", "info", album});
    for (const char* words :
         {"shape       64x64x1, 8 bits\n", "prepared    shorter side brought to 64, any part of the longer one; grey",
          "stored      heights 70 to 400, widths 70 to 300\n", "classes     0; data.classes=true"})
      CHECK_MESSAGE(text.out.find(words) != std::string::npos, text.out);
  }

  TEST_CASE("data says where training would refuse a folder, and looks at it by what can be chosen") {
    const TemporaryDirectory directory;
    std::filesystem::create_directory(directory / "set");
    const std::string set = (directory / "set").string();
    const auto look = [&](const std::vector<std::string>& words) {
      const Program program = run_program(directory.path(), {"data", "info", set, "--json"});
      const nlohmann::json facts = last_object(program);
      CHECK(facts["channels"] == 1);
      CHECK(facts["prepared"].get<std::string>().find("any part of the longer one; grey") != std::string::npos);
      CHECK(facts["prepared"].get<std::string>().ends_with("mirrored half of the time"));
      CHECK(std::ranges::count(program.errors, '\n') == 1);
      CHECK(program.errors.starts_with("gesso data: train would refuse this folder: " + set));
      for (const std::string& word : words)
        CHECK_MESSAGE(program.errors.find(word) != std::string::npos, program.errors);
      return facts;
    };
    directory.write("set/0.png", png_text(Image({20, 40, 1})));
    CHECK(look({"a single picture", "; shown with the default of data.validation\n"})["height"] == 16);
    for (int i = 0; i < 12; ++i) directory.write(fmt::format("set/{}.png", i), png_text(Image({4, 4, 1})));
    const nlohmann::json facts = look({"below 8 pixels", "data.size=8", "; shown with the default of data.size\n"});
    CHECK(facts["validation"].get<int>() >= 1);
    CHECK(facts["train"].get<int>() + facts["validation"].get<int>() == 12);
    CHECK(run_program(directory.path(), {"data", "info", set, "data.size=8"}).errors.empty());
    const Program none = run_program(directory.path(), {"data", "scan", directory / "nowhere", "--kind", "folder"});
    CHECK(std::ranges::count(none.errors, '\n') == 1);
  }

  TEST_CASE("data counts the files that it leaves out as no pictures, in both splits") {
    const TemporaryDirectory directory;
    std::filesystem::create_directory(directory / "set");
    for (const char* name : {"a.png", "b"}) directory.write(fmt::format("set/{}", name), png_text(Image({40, 40, 1})));
    for (int i = 0; i < 6; ++i) directory.write(fmt::format("set/{}.webp", i), "RIFF....WEBP");
    const std::string set = (directory / "set").string(), told = "6 files, no PNG or JPEG by name or content";
    for (const char* look : {"scan", "info"}) {
      CHECK(last_object(run_program(directory.path(), {"data", look, set, "--json"}))["left_out"] == 6);
      const Program text = run_program(directory.path(), {"data", look, set});
      CHECK_MESSAGE(text.out.find("left out    " + told) != std::string::npos, text.out);
    }
    std::filesystem::remove(directory / "set/a.png");
    std::filesystem::remove(directory / "set/b");
    const Program none = run_program(directory.path(), {"data", "scan", set});
    CHECK(none.exit_code == 3);
    CHECK_MESSAGE(none.errors.find("no PNG or JPEG among its 6 files") != std::string::npos, none.errors);
  }

  TEST_CASE("data asks for what it needs") {
    const TemporaryDirectory directory;
    const auto refused = [&](const std::vector<std::string>& arguments, int exit_code, const std::string& words) {
      const Program program = run_program(directory.path(), arguments);
      CHECK(program.exit_code == exit_code);
      CHECK_MESSAGE(program.errors.find(words) != std::string::npos, program.errors);
    };
    refused({"data"}, 2, "gesso data: a verb is missing; verbs are info, scan, preview");
    refused({"data", "info"}, 2, "--recipe");
    refused({"data", "info", "nowhere"}, 3, "'nowhere': there is no such folder");
    refused({"data", "info", directory.path().string(), "--kind", "tar"}, 2, "data.kind");
    refused({"data", "info", directory.path().string()}, 3, "no PNG or JPEG");
    refused({"data", "preview", directory.path().string()}, 2, "--out");
    refused({"data", "preview", "--recipe", "vqvae-shapes", "--out", directory / "x.jpeg"}, 2,
            "x.jpeg: pictures are written as PNG, not as .jpeg; give a name that ends in .png");
    refused({"data", "preview", "--recipe", "vqvae-shapes", "data.size=256", "data.count=4096", "--count", "4096",
             "--out", "x.png"},
            2, "contact sheet: 4096 pictures of 256x256x3");
  }
}

}  // namespace
}  // namespace gesso
