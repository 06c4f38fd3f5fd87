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
      CHECK(read_text_file(folder / "made" / name, 1 << 20) == read_text_file(folder / "decoded" / name, 1 << 20));

    write_png(folder / "tall.png", Image({70, 31, 3}, 90));
    json_of(folder, {"reconstruct", run, folder / "tall.png", "--out", folder / "grid.png"});
    CHECK(read_picture(folder / "grid.png").shape == ImageShape{2 * 72 + 2, 31 + 4, 3});
    const Program none = run_program(folder.path(), {"reconstruct", run, folder / "no.png", "--out", folder / "x.png"});
    CHECK(none.exit_code == static_cast<int>(ErrorKind::io));
    CHECK(none.errors.find("no.png") != std::string::npos);
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
