// What people who do not know gesso yet do wrong, and what they are told: what was given, what is wrong with it, what
// to do.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "core/error.h"
#include "tests/mixed_pictures.h"
#include "tests/program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

constexpr int kUsage = static_cast<int>(ErrorKind::usage), kData = static_cast<int>(ErrorKind::data),
              kIo = static_cast<int>(ErrorKind::io);

// Refuses in few lines, with these words among them, and says who speaks.
void expect_refusal(const TemporaryDirectory& folder, int exit_code, const std::vector<std::string>& words,
                    const std::vector<std::string>& said) {
  const Program program = run_program(folder.path(), words);
  std::string command = "gesso";
  for (const std::string& word : words) command += " " + word;
  INFO(command, "\n", program.errors);
  CHECK(program.exit_code == exit_code);
  CHECK(program.errors.starts_with("gesso"));
  CHECK(std::ranges::count(program.errors, '\n') <= 6);
  CHECK(program.out.empty());
  for (const std::string& part : said) CHECK_MESSAGE(program.errors.find(part) != std::string::npos, part);
}

TEST_SUITE("mistakes") {
  TEST_CASE("unknown verbs and options are told with the nearest that there is") {
    const TemporaryDirectory folder;
    const auto refused = [&](const std::vector<std::string>& words, const std::vector<std::string>& said) {
      expect_refusal(folder, kUsage, words, said);
    };
    refused({}, {"gesso: a verb is missing; verbs are train, ", "gesso --help"});
    refused({"trian", "vqvae"}, {"there is no verb 'trian'; did you mean 'train'?"});
    refused({"frobnicate"}, {"there is no verb 'frobnicate'; verbs are train, "});
    refused({"data", "scna", "x"}, {"gesso data: there is no verb 'scna'; did you mean 'scan'?", "gesso data --help"});
    refused({"train"}, {"gesso train: recipe is missing: Name of a recipe", "gesso train --help"});
    refused({"report"}, {"gesso report: runs is missing: Run directories"});
    refused({"train", "vqvae", "--dryrun"}, {"there is no option '--dryrun'; did you mean '--dry-run'?"});
    refused({"report", "x", "--thread=1"}, {"did you mean '--threads'?"});
    refused({"train", "vqvae", "--batch", "5"}, {"'--batch'", "words without dashes, such as train.steps=1000"});
    refused({"report", "x", "--batch"}, {"there is no option '--batch'\n"});
    refused({"report", "x", "--out", "a", "--out", "b"}, {"--out is given more than once"});
    refused({"data", "preview", "x"}, {"gesso data preview: --out is missing: The picture to write"});
    refused({"evaluate", "x", "y"}, {"gesso evaluate: 'y' is one word too many"});
    refused({"train", "vqvae-shapes", "--out"}, {"gesso train: --out needs a value"});
    refused({"train", "vqvae-shapes", "--threads", "0"}, {"--threads: Value 0 not in range"});
    refused({"train", "vqvae-shapes", "--device", "gpu"}, {"gpu", "cpu, cuda"});
  }

  TEST_CASE("recipes and settings that are none are told with what they might be") {
    const TemporaryDirectory folder;
    const std::string out = folder / "run";
    const auto refused = [&](std::vector<std::string> words, const std::vector<std::string>& said) {
      words.insert(words.begin(), "train");
      words.insert(words.end(), {"--out", out});
      expect_refusal(folder, kUsage, words, said);
      CHECK(!std::filesystem::exists(out));
    };
    refused({"vqave"}, {"there is no recipe 'vqave'; did you mean 'vqvae'? Recipes are "});
    refused({"gan"}, {"there is no recipe 'gan'; recipes are ", "vqvae-shapes", "a path to a JSON file"});
    refused({"mine.json"}, {"recipe mine.json: no such file"});
    refused({folder.path()}, {"recipe " + folder.path().string() + ": is a folder; give the name of a recipe, or a"});
    REQUIRE(mkfifo((folder / "pipe.json").c_str(), 0600) == 0);
    refused({folder / "pipe.json"}, {"pipe.json: is no regular file; give the name of a recipe, or a JSON file"});
    refused({"vqvae-shapes", "train.step=5"}, {"unknown key 'train.step'; did you mean 'train.steps'?"});
    refused({"vqvae-shapes", "steps=5"}, {"did you mean 'train.steps'?"});
    refused({"vqvae-shapes", "train.steps=many"}, {"train.steps: expected a whole number from 1", "many"});
    refused({"vqvae-shapes", "train.steps=0"}, {"train.steps: 0 is out of range; expected a whole number from 1"});
    refused({"vqvae-shapes", "train.steps"}, {"expected key=value such as train.steps=1000, got 'train.steps'"});
    refused({"vqvae-shapes", "optimizer.kind=adma"}, {"'adma' is not one of adamw, adam, sgd; did you mean 'adam'?"});
    refused({"vqvae-shapes", "data.count=8"}, {"train.batch", "is more than the 8 images", "lower it"});
    for (const char* number : {"0", "-2", "1025"})
      refused({"vqvae-shapes", fmt::format("train.accumulate={}", number)},
              {"train.accumulate", number, "expected a whole number from 1 to 1024"});
    refused({"vqvae-shapes", "train.accumulate=1000"}, {"64000 images a step", "train.accumulate 1000", "lower one"});
    refused({"vqvae-shapes", "data.size=18"}, {"18", "model.padding"});
    refused({folder.write("bad.json", "{\"train\": {\"steps\": 5,}}")}, {"bad.json"});
  }

  TEST_CASE("data that are not there, or no pictures, are told with what is expected") {
    const TemporaryDirectory folder;
    const std::string out = folder / "run";
    const auto refused = [&](int exit_code, std::vector<std::string> words, const std::vector<std::string>& said) {
      words.insert(words.begin(), "train");
      words.insert(words.end(), {"--out", out});
      expect_refusal(folder, exit_code, words, said);
      CHECK(!std::filesystem::exists(out));
    };
    const std::string file = folder.write("photos.zip", "PK");
    refused(kUsage, {"vqvae"}, {"data.path is empty", "--data FOLDER"});
    refused(kUsage, {"vqvae", folder.path()}, {"is a folder; give data with --data " + folder.path().string()});
    refused(kData, {"vqvae", "--data", "nowhere"}, {"data path 'nowhere': there is no such folder; expected"});
    refused(kData, {"vqvae", "--data", file}, {"photos.zip': is no directory; expected a folder with pictures"});
    refused(kData, {"vqvae", "--data", folder.path()}, {"no PNG or JPEG", "--data"});
    refused(kData, {"vqvae-folder", "--data", folder.path()}, {"no PNG or JPEG to train on"});
    refused(kData, {"vqvae-mnist", "--data", folder.path()}, {"train-images-idx3-ubyte"});
    refused(kData, {"vqvae-cifar10", "--data", folder.path()}, {"data_batch_1"});
    refused(kUsage, {"vqvae-shapes", "--data", folder.path()},
            {"data.path (--data) is '" + folder.path().string(), "data.kind is shapes", "leave --data out", "vqvae"});
    refused(kUsage, {"vqvae-fashion", "data.kind=shapes"}, {"/usr/share/", "data.path= where a recipe names one"});
    expect_refusal(folder, kUsage, {"data", "info", "nowhere", "--recipe", "vqvae-shapes"},
                   {"data.path (--data) is 'nowhere'"});
  }

  TEST_CASE("a run is not put where pictures of its data lie, and a start that is refused leaves nothing behind") {
    const TemporaryDirectory folder;
    const Path pets = folder / "pets";
    std::mt19937_64 random(test_seed());
    for (const char* name : {"pets/ant", "pets/cat/deep", "pets/none"}) {
      std::filesystem::create_directories(folder / name);
      for (int i = 0; i < 12 && name != std::string("pets/none"); ++i)
        folder.write(fmt::format("{}/{}.png", name, i), mixed_picture(random, 4));
    }
    std::filesystem::create_directory_symlink(pets / "cat", folder / "link");
    const auto train = [&](const std::string& out, const std::vector<std::string>& more) {
      std::vector<std::string> words = {"train", "vqvae", "--out", out};
      words.insert(words.end(), more.begin(), more.end());
      return words;
    };
    const std::vector<Path> places = {pets, pets / "cat", pets / "cat/deep/", pets / "none/../cat", folder / "link"};
    for (const Path& out : places)
      expect_refusal(folder, kUsage, train(out, {"--data", pets}),
                     {out.string() + " holds pictures of the data set", ".png'", "is no data", "--out"});
    for (const std::string config : {"{}", "// mine\n{\"train\": {\"steps\": 7}}"}) {
      folder.write("pets/cat/config.json", config);
      expect_refusal(folder, kUsage, train(pets / "cat", {"--data", pets}),
                     {"holds a config.json that no run of this gesso made", "another --out"});
      CHECK(read_text_file(pets / "cat/config.json", 1 << 20) == config);
    }
    std::filesystem::create_directories(folder / "grids/samples");
    std::filesystem::copy(pets / "ant", folder / "grids/samples/ant");
    for (const char* data : {"grids/samples", "grids/samples/ant"})
      expect_refusal(folder, kUsage, train(folder / "grids", {"--data", folder / data}),
                     {"the run's own pictures", "another --out"});
    const Path none = pets / "none";
    expect_refusal(folder, kUsage, train(none, {"--data", pets, "train.batch=1000"}), {"train.batch"});
    expect_refusal(folder, kUsage, train(pets / "cat", {"--resume"}), {"was started with recipe"});
    expect_refusal(folder, kData, train(none, {"--data", none}), {"no PNG or JPEG", "among its 0 files"});
    expect_refusal(folder, kData, train(none, {"--data", "nowhere"}), {"no such folder"});
    for (const Path& out : {pets, pets / "cat", pets / "cat/deep", none})
      CHECK_MESSAGE(!std::filesystem::exists(out / "lock"), out.string());
    for (const Path& out : {none, pets / "cat/new"}) {
      const Program plan = run_program(folder.path(), train(out, {"--data", pets, "--dry-run"}));
      CHECK_MESSAGE(plan.exit_code == 0, plan.errors);
    }
  }

  TEST_CASE("runs that are not there, or are there already, are told with what to do") {
    const TemporaryDirectory folder;
    const std::string none = folder / "none", file = folder.write("file", "x"), run = folder / "run";
    const std::vector<std::string> small = {
        "train.steps=1",  "train.batch=4",           "data.size=8",    "data.count=4",       "data.test_count=4",
        "model.hidden=4", "model.residual_hidden=2", "model.codes=16", "model.code_width=4",
    };
    const auto train = [&](const std::string& out, const std::string& more = "--json") {
      std::vector<std::string> words = {"train", "vqvae-shapes", "--out", out, more};
      words.insert(words.end(), small.begin(), small.end());
      return words;
    };
    REQUIRE(run_program(folder.path(), train(run)).exit_code == 0);
    expect_refusal(folder, kUsage, train(run), {run + " holds a run already; add --resume", "choose another --out"});
    expect_refusal(folder, kData, train(none, "--resume"), {"no such folder", "leave out --resume"});
    expect_refusal(folder, kData, train(folder.path(), "--resume"), {"no config.json in it", "leave out --resume"});
    for (const char* inside : {"", "/", "/run", "/runs/run"})
      expect_refusal(folder, kUsage, train(file + inside), {file, " is a file; name the run's folder with --out"});
    expect_refusal(folder, kIo, train("/proc/gesso"), {"/proc/gesso"});
    expect_refusal(folder, kUsage, {"evaluate", run, "--data", none}, {"data.path (--data) is '" + none});
    for (const char* verb : {"encode", "reconstruct"})
      expect_refusal(folder, kUsage, {verb, run, "--data", none, "--out", folder / "made"}, {"data.kind is shapes"});
    for (const char* verb : {"report", "evaluate"}) {
      expect_refusal(folder, kData, {verb, none}, {"run " + none + ": no such folder"});
      expect_refusal(folder, kData, {verb, folder.path()},
                     {"no config.json in it; expected a folder that gesso train"});
      expect_refusal(folder, kData, {verb, file}, {"run " + file + ": no config.json"});
    }
    expect_refusal(folder, kData, {"replay", none}, {"run " + none + ": no such folder"});
    expect_refusal(folder, kData, {"replay", file}, {"run " + file + ": no such folder"});
    expect_refusal(folder, kUsage, {"replay", run}, {"run " + run + ": there is no step to replay"});
    expect_refusal(folder, kUsage, {"report", run, run}, {"--out"});
    expect_refusal(folder, kIo, {"report", run, "--out", folder.path()}, {folder.path()});
    expect_refusal(folder, kIo, {"report", run, "--out", folder / "no/page.html"}, {"no/page.html"});
  }
}

}  // namespace
}  // namespace gesso
