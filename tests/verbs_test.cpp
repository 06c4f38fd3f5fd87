// The program's verbs for a trained model, run as a user runs them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/program.h"
#include "tests/temporary_directory.h"
#include "train/picture.h"
#include "train/png.h"

namespace gesso {
namespace {

// The object in the last line of standard output.
nlohmann::json json_of(const TemporaryDirectory& folder, std::vector<std::string> words) {
  words.push_back("--json");
  const Program program = run_program(folder.path(), words);
  REQUIRE_MESSAGE(program.exit_code == 0, program.errors);
  const std::string text = program.out.substr(0, program.out.size() - 1);
  return nlohmann::json::parse(text.substr(text.rfind('\n') + 1));
}

TEST_SUITE("verbs") {
  TEST_CASE("a trained model is evaluated, and pictures go through it, as the verbs promise") {
    const TemporaryDirectory folder;
    const std::string run = folder / "run", codes = folder / "codes.safetensors";
    json_of(folder, {"train", "vqvae-shapes", "--out", run, "train.steps=2", "train.batch=4", "data.size=18",
                     "data.count=40", "data.test_count=9", "model.hidden=4", "model.residual_hidden=2",
                     "model.codes=16", "model.code_width=4", "model.padding=edge"});
    const nlohmann::json metrics = json_of(folder, {"evaluate", run});
    for (const char* key : {"nmse", "mse", "psnr", "ssim", "usage", "perplexity"}) CHECK(metrics.at(key) > 0);
    CHECK(metrics.at("images") == 9);
    CHECK(metrics.at("step") == 2);
    CHECK(metrics.at("code_bits_per_dim") == doctest::Approx(25 * 4 / (18 * 18 * 3.0)));

    CHECK(json_of(folder, {"encode", run, "--split", "train", "--out", codes}).at("codes") ==
          nlohmann::json({40, 5, 5}));
    CHECK(json_of(folder, {"decode", run, codes, "--out", folder / "decoded"}).at("images") == 40);
    CHECK(json_of(folder,
                  {"reconstruct", run, "--split", "train", "--count", "40", "--tile", "4", "--out", folder / "made"})
              .at("images") == 40);
    for (const std::string& name : list_directory(folder / "made"))
      CHECK(read_picture(folder / "made" / name).pixels == read_picture(folder / "decoded" / name).pixels);
    // Each says how it was made.
    CHECK(read_text_file(folder / "made" / "000000.png", 1 << 20).find(" reconstruct ") != std::string::npos);
    CHECK(read_text_file(folder / "decoded" / "000039.png", 1 << 20).find(" decode ") != std::string::npos);

    write_png(folder / "tall.png", Image({70, 31, 3}, 90));
    const Program one =
        run_program(folder.path(), {"reconstruct", run, folder / "tall.png", "--out", folder / "grid.png"});
    CHECK(one.out == (folder / "grid.png").string() + ": 1 picture above its reconstruction\n");
    CHECK(read_picture(folder / "grid.png").shape == ImageShape{2 * 72 + 2, 31 + 4, 3});
    const Program none = run_program(folder.path(), {"reconstruct", run, folder / "no.png", "--out", folder / "x.png"});
    CHECK(none.exit_code == static_cast<int>(ErrorKind::io));
    CHECK(none.errors.find("no.png") != std::string::npos);
  }

  TEST_CASE("no output takes the place of an input, and what cannot go together is refused") {
    const TemporaryDirectory folder;
    const std::string run = folder / "run", picture = folder / "in.png", codes = folder / "codes";
    json_of(folder,
            {"train", "vqvae-shapes", "--out", run, "train.steps=1", "train.batch=4", "data.size=8", "data.count=4",
             "data.test_count=4", "model.hidden=4", "model.residual_hidden=2", "model.codes=16", "model.code_width=4"});
    write_png(picture, Image({8, 8, 3}, 90));
    json_of(folder, {"encode", run, picture, "--out", codes});
    const auto content = [&] {
      return read_text_file(picture, 1 << 20) + read_text_file(codes, 1 << 20) +
             read_text_file(folder / "run" / "config.json", 1 << 20);
    };
    const std::string before = content();
    const auto refused = [&](const std::vector<std::string>& words, const std::string& error) {
      const Program program = run_program(folder.path(), words);
      CHECK(program.exit_code == static_cast<int>(ErrorKind::usage));
      CHECK_MESSAGE(program.errors.find(error) != std::string::npos, program.errors);
      CHECK(content() == before);
    };
    std::filesystem::create_symlink("in.png", folder / "link.png");
    refused({"reconstruct", run, picture, "--out", picture}, "is the input");
    refused({"reconstruct", run, folder / "link.png", "--out", picture}, "is the input");
    refused({"encode", run, picture, "--out", run + "/../in.png"}, "is the input");
    refused({"decode", run, codes, "--out", codes}, "is the input");
    refused({"encode", run, "--out", run + "/config.json"}, "among the files of run");
    refused({"decode", run, codes, "--out", run + "/grid.png"}, "among the files of run");
    refused({"reconstruct", run, "--out", run + "/pictures/"}, "among the files of run");
    refused({"reconstruct", run, picture, "--out", folder / "x.JPG"}, "x.JPG: pictures are written as PNG");
    refused({"decode", run, codes, "--out", folder / "x.webp"}, "not as .webp; give a name that ends in .png");
    refused({"encode", run, picture, "--data", "nowhere", "--out", folder / "x"}, "--data");
    refused({"encode", run, picture, "--count", "3", "--out", folder / "x"}, "--count");
    refused({"reconstruct", run, picture, "--split", "train", "--out", folder / "x"}, "--split");
  }

  TEST_CASE("a run that could not end well is refused before it writes anything") {
    const TemporaryDirectory folder;
    const auto refused = [&](std::vector<std::string> more, const std::string& error) {
      std::vector<std::string> words = {"train",         "vqvae-shapes",  "--out",       folder / "run",
                                        "train.steps=1", "train.batch=4", "data.count=8"};
      words.insert(words.end(), more.begin(), more.end());
      const Program program = run_program(folder.path(), words);
      CHECK(program.exit_code == static_cast<int>(ErrorKind::usage));
      CHECK_MESSAGE(program.errors.find(error) != std::string::npos, program.errors);
      CHECK(!std::filesystem::exists(folder / "run"));
    };
    refused({"data.size=64", "data.test_count=1024", "sample.count=1024"}, "lower sample.count");
    refused({"--data", "x\xFF"}, "'data.path': 'x\\xff' is no text in UTF-8");
    write_file_atomically(folder / "x\xFF.json", "{}");
    const Program odd = run_program(folder.path(), {"train", folder / "x\xFF.json", "--out", folder / "run",
                                                    "data.kind=shapes", "data.size=8", "data.count=99"});
    CHECK(odd.exit_code == static_cast<int>(ErrorKind::usage));
    CHECK_MESSAGE(odd.errors.find("configuration: about.recipe: '") != std::string::npos, odd.errors);
    CHECK(!std::filesystem::exists(folder / "run"));
  }

  TEST_CASE("arguments that are no UTF-8 are recorded by their bytes, and as many samples as allowed are drawn") {
    const TemporaryDirectory folder;
    const std::string run = folder / "run\xFF";
    json_of(folder, {"train", "vqvae-shapes", "--out", run, "train.steps=1", "train.batch=4", "data.size=8",
                     "data.count=8", "data.test_count=1024", "sample.count=1024", "model.hidden=4",
                     "model.residual_hidden=2", "model.codes=16", "model.code_width=4"});
    const std::string config = read_text_file(Path(run) / "config.json", 1 << 20);
    CHECK(config.find("run\\\\xff") != std::string::npos);  // JSON doubles the backslash
    CHECK(std::filesystem::exists(Path(run) / "checkpoints"));
  }

  TEST_CASE("each verb explains itself with an example") {
    const TemporaryDirectory folder;
    for (const char* verb : {"train", "evaluate", "encode", "decode", "reconstruct"}) {
      const Program help = run_program(folder.path(), {verb, "--help"});
      CHECK(help.exit_code == 0);
      CHECK(help.out.find("Example: gesso " + std::string(verb)) != std::string::npos);
    }
  }
}

}  // namespace
}  // namespace gesso
