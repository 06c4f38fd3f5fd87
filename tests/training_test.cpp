#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "core/thread_pool.h"
#include "tests/expect_error.h"
#include "tests/mixed_pictures.h"
#include "tests/small_run.h"
#include "tests/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/open_dataset.h"
#include "train/run.h"
#include "train/run_history.h"
#include "train/step_dump.h"
#include "train/trainer.h"

namespace gesso {
namespace {

RunSummary run(const Path& directory, std::vector<std::string> more, bool resume = false,
               RunControls* controls = nullptr) {
  return train_small(std::move(more), {.directory = directory, .resume = resume, .controls = controls});
}

std::string noise(std::size_t count) {
  std::mt19937 random(7);
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(random() & 0xFF);
  return bytes;
}

// MNIST's files with `count` pictures of 8x8 to train on and 3 to test with.
void write_idx(const TemporaryDirectory& directory, const std::string& name, int count) {
  std::filesystem::create_directory(directory / name);
  for (const auto& [prefix, pictures] : {std::pair("train", count), std::pair("t10k", 3)}) {
    const std::string size = {0, 0, 0, static_cast<char>(pictures)}, side = {0, 0, 0, 8};
    const auto number = static_cast<std::size_t>(pictures);
    directory.write(fmt::format("{}/{}-images-idx3-ubyte", name, prefix),
                    std::string{0, 0, 8, 3} + size + side + side + noise(number * 64));
    directory.write(fmt::format("{}/{}-labels-idx1-ubyte", name, prefix),
                    std::string{0, 0, 8, 1} + size + std::string(number, '\1'));
  }
}

// CIFAR-10's files with two pictures each.
void write_cifar(const TemporaryDirectory& directory, const std::string& name) {
  std::filesystem::create_directory(directory / name);
  const std::string content = noise(2 * 3072);
  for (const char* file :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"})
    directory.write(fmt::format("{}/{}.bin", name, file), '\0' + content.substr(0, 3072) + '\1' + content.substr(3072));
}

// The process's thread count, put back afterwards.
struct Threads {
  int before = thread_pool().threads();
  explicit Threads(int count) { set_threads(count); }
  ~Threads() { set_threads(before); }
};

TEST_SUITE("training") {
  TEST_CASE("2N steps equal N steps, stop, resume, N steps: the same bytes in every state file") {
    const TemporaryDirectory folder;
    run(folder / "whole", {"train.steps=26"});
    {
      const Threads one(1);
      run(folder / "halves", {"train.steps=13", "data.loaders=1"});
    }
    {
      const Threads three(3);
      const RunSummary summary = run(folder / "halves", {"train.steps=26", "data.loaders=3"}, true);
      CHECK(summary.step == 26);
    }
    const auto whole = state_files(folder / "whole"), halves = state_files(folder / "halves");
    CHECK(whole.size() == 9);  // weights, state, two moments, average, recent steps and codes, manifest, the step
    CHECK(whole == halves);
    const auto code_counts = [&](const char* name) { return read_text_file(folder / name / "codes.txt", 1 << 20); };
    CHECK(code_counts("whole") == code_counts("halves"));
  }

  TEST_CASE("2N steps of micro-batches equal N, stop, resume, N, for any number of threads and loaders") {
    const TemporaryDirectory folder;
    run(folder / "whole", {"train.steps=12", "train.accumulate=3"});
    {
      const Threads one(1);
      run(folder / "halves", {"train.steps=5", "train.accumulate=3", "data.loaders=1"});
    }
    expect_error(ErrorKind::usage, {"train.accumulate", "3", "4", "cannot become"}, [&] {
      run(folder / "halves", {"train.steps=12", "train.accumulate=4"}, true);
    });
    const Threads three(3);
    run(folder / "halves", {"train.steps=12", "data.loaders=3"}, true);
    CHECK(state_files(folder / "whole") == state_files(folder / "halves"));
  }

  TEST_CASE("2N steps equal N, stop, resume, N by each algorithm of convolutions, which cannot change on the way") {
    const TemporaryDirectory folder;
    std::map<std::string, std::map<std::string, std::string>> states;
    for (const std::string algorithm : {"auto", "direct", "winograd2", "winograd4"}) {
      INFO(algorithm);
      const Path whole = folder / (algorithm + "-whole"), halves = folder / (algorithm + "-halves");
      const auto with = [&](const std::string& steps) {
        return std::vector<std::string>{"conv.algorithm=" + algorithm, "model.hidden=32", "model.residual_hidden=16",
                                        "data.size=16", "train.steps=" + steps};
      };
      run(whole, with("6"));
      {
        const Threads one(1);
        run(halves, with("3"));
      }
      const Threads three(3);
      run(halves, {"train.steps=6"}, true);
      states[algorithm] = state_files(whole);
      CHECK(states[algorithm] == state_files(halves));
    }
    for (const char* winograd : {"auto", "winograd2", "winograd4"}) CHECK(states[winograd] != states["direct"]);
    expect_error(ErrorKind::usage, {"conv.algorithm", "direct", "auto"},
                 [&] { run(folder / "direct-halves", {"conv.algorithm=auto"}, true); });
    expect_error(ErrorKind::usage, {"conv.algorithm", "fft", "auto, direct, winograd2, winograd4"},
                 [&] { run(folder / "fft", {"conv.algorithm=fft"}); });
    CHECK(!std::filesystem::exists(folder / "fft"));
  }

  TEST_CASE("2N steps equal N, stop, resume, N also with flips and random crops, from memory and from files") {
    const TemporaryDirectory folder;
    const Path pictures = write_mixed_folder(folder, "mixed", 60, 1);
    const std::vector<std::string> data = {"data.kind=folder", "data.path=" + pictures.string(), "data.crop=random",
                                           "data.flip=true", "data.max_bad=0.2"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), data.begin(), data.end());
      return more;
    };
    run(folder / "whole", with({"train.steps=26"}));
    {
      const Threads one(1);
      run(folder / "halves", with({"train.steps=13", "data.cache_mib=0"}));
    }
    {
      const Threads three(3);
      run(folder / "halves", {"train.steps=26", "data.loaders=3", "data.cache_mib=1"}, true);
    }
    const auto whole = state_files(folder / "whole");
    CHECK(whole == state_files(folder / "halves"));
    for (const char* other : {"data.flip=false", "data.crop=center"}) {
      run(folder / other, with({"train.steps=26", other}));
      CHECK(state_files(folder / other) != whole);
    }
    expect_error(ErrorKind::usage, {"data.flip", "true", "false"},
                 [&] { run(folder / "halves", {"data.flip=false"}, true); });
  }

  TEST_CASE("every kind of data flips: 2N steps equal N, stop, resume, N") {
    const TemporaryDirectory folder;
    write_mixed_folder(folder, "folder", 60, 1);
    write_idx(folder, "idx", 13);
    write_cifar(folder, "cifar10");
    for (const std::string kind : {"shapes", "idx", "cifar10", "folder"}) {
      INFO(kind);
      std::vector<std::string> data = {"data.kind=" + kind, "data.max_bad=0.2"};
      if (kind != "shapes") data.push_back("data.path=" + (folder / kind).string());
      const auto with = [&](std::vector<std::string> more) {
        more.insert(more.end(), data.begin(), data.end());
        return more;
      };
      const Path whole = folder / (kind + "-whole"), halves = folder / (kind + "-halves"),
                 plain = folder / (kind + "-plain");
      run(whole, with({"train.steps=6", "data.flip=true"}));
      run(halves, with({"train.steps=2", "data.flip=true"}));
      run(halves, {"train.steps=6", "data.loaders=2"}, true);
      run(plain, with({"train.steps=6"}));
      CHECK(state_files(whole) == state_files(halves));
      CHECK(state_files(whole) != state_files(plain));
    }
  }

  TEST_CASE("a run goes on where its data lie elsewhere, and refuses other data before it writes anything") {
    const TemporaryDirectory folder;
    const Path pictures = write_mixed_folder(folder, "mixed", 60, 1), moved = folder / "moved",
               directory = folder / "run";
    run(directory, {"train.steps=2", "data.kind=folder", "data.path=" + pictures.string(), "data.max_bad=0.2"});
    CHECK_MESSAGE(std::filesystem::exists(directory / "skipped.txt"), "three pictures are broken");
    std::filesystem::rename(pictures, moved);
    run(directory, {"train.steps=3", "data.path=" + moved.string()}, true);
    const std::string before = read_text_file(directory / "config.json", 1 << 20);
    const auto refused = [&](const Path& path, const std::vector<std::string>& words) {
      expect_error(ErrorKind::data, words, [&] {
        run(directory, {"train.steps=4", "data.path=" + path.string()}, true);
      });
      CHECK(read_text_file(directory / "config.json", 1 << 20) == before);
    };
    refused(write_mixed_folder(folder, "other", 59, 1), {"was trained on", "now holds", "other", "--data", "--out"});
    for (int i = 0; i < 9; ++i) std::filesystem::copy_file(moved / "004.png", moved / fmt::format("another-{}.png", i));
    refused(moved, {"was trained on", "now holds"});
    write_idx(folder, "thirteen", 13);
    write_idx(folder, "twelve", 12);
    run(folder / "idx", {"train.steps=1", "data.kind=idx", "data.path=" + (folder / "thirteen").string()});
    expect_error(ErrorKind::data, {"13 images 8x8x1", "12 images 8x8x1"}, [&] {
      run(folder / "idx", {"train.steps=2", "data.path=" + (folder / "twelve").string()}, true);
    });
  }

  TEST_CASE("a run goes on with the same samples wherever they lie, and with no others of their number") {
    const TemporaryDirectory folder;
    write_idx(folder, "idx", 13);
    write_cifar(folder, "cifar10");
    const auto flip_a_bit = [](const Path& path, std::size_t at) {
      std::string content = read_text_file(path, 1 << 20);
      content[at] ^= 1;
      std::ofstream(path, std::ios::binary) << content;
    };
    const auto goes_on_with = [&](const std::string& kind, const Path& data) {
      return run(folder / ("run-" + kind), {"train.steps=2", "data.path=" + data.string()}, true).step == 2;
    };
    const std::vector<std::tuple<std::string, std::string, std::size_t>> places = {
        {"idx", "train-images-idx3-ubyte", 500},
        {"idx", "train-labels-idx1-ubyte", 11},
        {"cifar10", "data_batch_3.bin", 4000},
        {"cifar10", "data_batch_5.bin", 3073}};
    for (const auto& [kind, file, at] : places) {
      INFO(kind << " " << file);
      const Path data = folder / kind, run_folder = folder / ("run-" + kind), copy = folder / (kind + "-copy");
      run(run_folder, {"train.steps=1", "data.kind=" + kind, "data.path=" + data.string()});
      std::filesystem::copy(data, copy);
      CHECK(goes_on_with(kind, copy));
      std::string config = read_text_file(run_folder / "config.json", 1 << 20);
      config.erase(config.find(", contents "), std::size(", contents 0123456789abcdef") - 1);
      write_file_atomically(run_folder / "config.json", config);
      CHECK_MESSAGE(goes_on_with(kind, copy), "as a run of before contents were recorded");
      flip_a_bit(copy / file, at);
      expect_error(ErrorKind::data, {"was trained on", "now holds", "--data", "--out"},
                   [&] { (void)goes_on_with(kind, copy); });
      std::filesystem::remove_all(copy);
      std::filesystem::remove_all(run_folder);
    }
  }

  TEST_CASE("runs that lie in the folder of their pictures are no part of their data") {
    const TemporaryDirectory folder;
    const Path pictures = write_mixed_folder(folder, "pictures", 60, 0), runs = pictures / "runs";
    const auto data = [](const Path& run_folder) {
      RecipeFile file;
      load_run_config(run_folder, file.config());
      return file.recipe().about.data;
    };
    const std::vector<std::string> more = {"train.steps=2", "data.kind=folder", "data.max_bad=0.2",
                                           "data.path=" + pictures.string()};
    run(runs / "one", more);
    run(runs / "two", more);
    CHECK(run(runs / "one", {"train.steps=4"}, true).step == 4);
    CHECK(data(runs / "one") == data(runs / "two"));
    expect_error(ErrorKind::usage, {"holds pictures of the data set", "another --out"}, [&] { run(pictures, more); });
  }

  TEST_CASE("a run cannot end before the step that it has come to, and one that is finished starts nothing") {
    const TemporaryDirectory folder;
    const Path directory = folder / "run";
    run(directory, {"train.steps=5"});
    const auto content = [&](const char* name) { return read_text_file(directory / name, 1 << 20); };
    const std::string config = content("config.json"), starts = content("starts.jsonl");
    expect_error(ErrorKind::usage, {"train.steps is 3", "step-00000005", "step 5 already"},
                 [&] { run(directory, {"train.steps=3"}, true); });
    CHECK(content("config.json") == config);
    CHECK(run(directory, {}, true).step == 5);
    CHECK(content("starts.jsonl") == starts);
  }

  TEST_CASE("a start keeps nothing to look at of steps that are to be made anew") {
    const TemporaryDirectory folder;
    const Path directory = folder / "run", checkpoints = directory / "checkpoints";
    const auto pictured = [&] {
      std::vector<std::int64_t> steps;
      for (const RunPicture& picture : saved_pictures(directory)) steps.push_back(picture.step);
      return steps;
    };
    const std::vector<std::string> often = {"train.steps=6", "sample.every=1", "checkpoint.every=2",
                                            "checkpoint.keep=0"};
    run(directory, often);
    CHECK(pictured() == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
    for (const char* newer : {"step-00000004", "step-00000006"}) std::filesystem::remove_all(checkpoints / newer);
    run(directory, {"train.steps=3"}, true);
    CHECK(pictured() == std::vector<std::int64_t>{1, 2, 3});
    std::filesystem::remove_all(checkpoints);  // as of a run that was killed before its first
    folder.write("run/samples/mine.png", "of somebody else");
    CheckpointStore dumps = step_dumps(directory);
    dumps.prepare();
    (void)dumps.save(1, {});
    run(directory, {"train.steps=2", "sample.every=2"});
    CHECK(list_directory(directory / "dumps").empty());
    CHECK(pictured() == std::vector<std::int64_t>{1, 2});
    CHECK(read_history(directory).starts.size() == 1);
    CHECK(std::filesystem::exists(directory / "samples" / "mine.png"));
  }

  TEST_CASE("a folder where no run was started keeps what it has, by whatever name") {
    const TemporaryDirectory folder;
    const Path directory = folder / "run";
    const std::vector<std::string> others = {"samples/step-1.png", "samples/mine.png", "dumps/step-00000001/notes.txt",
                                             "checkpoints/mine"};
    for (const std::string& name : others) {
      make_directories((directory / name).parent_path());
      write_file_atomically(directory / name, "of somebody else");
    }
    for (const std::string name :
         {"config.json", "metrics.jsonl", "starts.jsonl", "skipped.txt", "codes.txt", "extremes.json", "worst.png",
          "best.png", "report.html", "samples/step-00000001.png"}) {
      write_file_atomically(directory / name, R"({"architectures": ["of somebody else"]})");
      expect_error(ErrorKind::usage, {directory.string(), name, "another --out"},
                   [&] { run(directory, {"train.steps=1"}); });
      CHECK(read_text_file(directory / name, 1 << 20) == R"({"architectures": ["of somebody else"]})");
      std::filesystem::remove(directory / name);
    }
    run(directory, {"train.steps=1"});
    for (const std::string& name : others) CHECK_MESSAGE(std::filesystem::exists(directory / name), name);
  }

  TEST_CASE("what an earlier start skipped is not told where nothing is skipped now") {
    const TemporaryDirectory folder;
    run(folder / "run", {"train.steps=1"});
    folder.write("run/skipped.txt", "'gone.png': was broken\n");
    std::filesystem::remove_all(folder / "run" / "checkpoints");  // as of a run that was killed before its first
    run(folder / "run", {"train.steps=1"});
    CHECK_FALSE(std::filesystem::exists(folder / "run" / "skipped.txt"));
  }

  TEST_CASE("settings of the data that contradict each other are refused, naming both") {
    const TemporaryDirectory folder;
    const auto refused = [&](const char* setting, const std::vector<std::string>& words) {
      expect_error(ErrorKind::usage, words, [&] { run(folder / "run", {setting}); });
    };
    refused("data.crop=random", {"data.crop", "random", "data.kind shapes", "folder"});
    refused("data.bits=16", {"data.bits", "data.kind shapes", "folder"});
    refused("data.bits=12", {"data.bits", "8 or 16", "12"});
    refused("data.kind=folder", {"data.path", "--data"});
    CHECK(!std::filesystem::exists(folder / "run"));
  }

  TEST_CASE("the run had something to resume: state moved in both halves, and codes were revived") {
    const TemporaryDirectory folder;
    run(folder / "run", {"train.steps=13"});
    const auto first = state_files(folder / "run");
    run(folder / "run", {"train.steps=26"}, true);
    const auto second = state_files(folder / "run");
    for (const auto& [name, bytes] : first) CHECK_MESSAGE(bytes != second.at(name), name);
    run(folder / "without", {"train.steps=13", "model.revive_below=0"});
    CHECK(state_files(folder / "without").at("state.safetensors") != first.at("state.safetensors"));
  }

  TEST_CASE("an interrupted run saves at once, and resumes to the same bytes") {
    const TemporaryDirectory folder;
    run(folder / "whole", {"train.steps=9"});
    RunControls controls{.stop = true};
    const RunSummary stopped = run(folder / "stopped", {"train.steps=9"}, false, &controls);
    CHECK(controls.looked_after);
    CHECK(stopped.end == RunEnd::interrupted);
    CHECK(stopped.step == 1);
    run(folder / "stopped", {}, true);
    CHECK(state_files(folder / "stopped") == state_files(folder / "whole"));
  }

  TEST_CASE("metrics.jsonl has one object a line and no step twice, also after a resume from an older checkpoint") {
    const TemporaryDirectory folder;
    run(folder / "run", {"train.steps=8"});
    std::ofstream(folder / "run" / "metrics.jsonl", std::ios::app)
        << "{\"step\":12,\"split\":\"train\",\"loss\":1}\n{\"step\":16,\"spl";
    run(folder / "run", {"train.steps=16"}, true);
    std::ifstream file(folder / "run" / "metrics.jsonl");
    std::vector<std::int64_t> steps;
    for (std::string line; std::getline(file, line);) {
      const nlohmann::json object = nlohmann::json::parse(line);
      CHECK(object.contains("loss"));
      CHECK(object.at("split") == "train");
      steps.push_back(object.at("step"));
    }
    CHECK(steps == std::vector<std::int64_t>{4, 8, 12, 16});
  }

  TEST_CASE("a run writes its resolved recipe, pictures at steps 1, 2, 4, ... and the checkpoints that it keeps") {
    const TemporaryDirectory folder;
    const RunSummary summary =
        run(folder / "run", {"train.steps=11", "checkpoint.every=3", "checkpoint.keep=2", "sample.every=5"});
    const auto names = list_directory(folder / "run" / "samples");
    CHECK(names == std::vector<std::string>{"step-00000001.png", "step-00000002.png", "step-00000004.png",
                                            "step-00000005.png", "step-00000010.png", "step-00000011.png"});
    CHECK(list_directory(folder / "run" / "checkpoints") == std::vector<std::string>{"step-00000009", "step-00000011"});
    CHECK(summary.sample == folder / "run" / "samples" / "step-00000011.png");
    const nlohmann::json config = nlohmann::json::parse(read_text_file(folder / "run" / "config.json", 1 << 20));
    CHECK(config.at("model").at("height") == 8);
    CHECK(config.at("about").at("recipe") == "vqvae-shapes");
    CHECK(config.at("train").at("steps") == 11);
  }

  TEST_CASE("evaluation gives the same metrics for any batch size, and a trained model beats an untrained one") {
    const TemporaryDirectory folder;
    run(folder / "short", {"train.steps=1"});
    run(folder / "long", {"train.steps=120", "model.dropout=0", "schedule.horizon=120", "data.test_count=40"});
    const auto metric = [&](const Path& path, std::int64_t batch, std::string_view name) {
      Device& cpu = device(DeviceKind::cpu);
      const auto trained = open_run(path, {"data.test_count=40"}, cpu);
      const auto data = open_dataset(trained->file.recipe().data, Split::validation, 1);
      const nn::StepState state(cpu);
      nn::StateUpdates unused;
      for (const Metric& m : trained->task->evaluate({.device = cpu, .state = state, .updates = unused}, *data, batch))
        if (m.name == name) return m.value;
      return -1.0;
    };
    CHECK(metric(folder / "long", 40, "images") == 40);
    CHECK(metric(folder / "long", 40, "nmse") == doctest::Approx(metric(folder / "long", 7, "nmse")).epsilon(1e-6));
    CHECK(metric(folder / "long", 40, "perplexity") ==
          doctest::Approx(metric(folder / "long", 7, "perplexity")).epsilon(1e-6));
    CHECK(metric(folder / "long", 16, "nmse") < 0.8 * metric(folder / "short", 16, "nmse"));
    CHECK(metric(folder / "long", 16, "code_bits_per_dim") == doctest::Approx(4 * 5.0 / (8 * 8 * 3)));
  }

  TEST_CASE("what cannot be resumed is refused, and the run stays as it was") {
    const TemporaryDirectory folder;
    run(folder / "run", {"train.steps=3"});
    const auto before = state_files(folder / "run");
    const std::string config = read_text_file(folder / "run" / "config.json", 1 << 20);
    expect_error(ErrorKind::usage, {"--resume", "--out"}, [&] { run(folder / "run", {"train.steps=5"}); });
    expect_error(ErrorKind::usage, {"train.batch", "5", "6", "train.steps"},
                 [&] { run(folder / "run", {"train.batch=6"}, true); });
    expect_error(ErrorKind::data, {"no such folder"}, [&] { run(folder / "nothing", {}, true); });
    CHECK(state_files(folder / "run") == before);
    CHECK(read_text_file(folder / "run" / "config.json", 1 << 20) == config);
  }

  TEST_CASE("a foreign checkpoint is refused with what is wrong, before anything is overwritten") {
    const TemporaryDirectory folder;
    run(folder / "run", {"train.steps=3"});
    run(folder / "other", {"train.steps=3", "model.hidden=16"});
    const Path checkpoints = folder / "run" / "checkpoints";
    std::filesystem::remove_all(checkpoints);
    std::filesystem::copy(folder / "other" / "checkpoints", checkpoints, std::filesystem::copy_options::recursive);
    const auto before = state_files(folder / "run");
    expect_error(ErrorKind::data, {"does not fit", "encoder.conv3x3.weight", "expected"},
                 [&] { run(folder / "run", {"train.steps=5"}, true); });
    CHECK(state_files(folder / "run") == before);
  }

  TEST_CASE("a learning rate that blows up stops with a numeric error that names the last good checkpoint") {
    const TemporaryDirectory folder;
    expect_error(ErrorKind::numeric,
                 {"is finite; the first was", "values of", "samples ", "step-0000000", "schedule.rate"}, [&] {
                   run(folder / "run", {"train.steps=200", "schedule.kind=constant", "schedule.warmup=0",
                                        "schedule.rate=1000", "optimizer.clip_norm=0", "optimizer.kind=sgd",
                                        "optimizer.momentum=0.9", "checkpoint.every=1", "model.start_from_data=false"});
                 });
    CHECK(!list_checkpoints(folder / "run").empty());
  }

  TEST_CASE("mistakes in a recipe are told with key, value and what was expected") {
    const TemporaryDirectory folder;
    expect_error(ErrorKind::usage, {"vqvae-fashon", "did you mean 'vqvae-fashion'"},
                 [&] { (void)recipe_path("vqvae-fashon"); });
    expect_error(ErrorKind::usage, {"train.stesp", "train.steps"}, [&] { run(folder / "a", {"train.stesp=3"}); });
    expect_error(ErrorKind::usage, {"train.batch", "whole number", "many"},
                 [&] { run(folder / "b", {"train.batch=many"}); });
    expect_error(ErrorKind::usage, {"10x10", "divisible by 8", "model.downsamples"}, [&] {
      run(folder / "c", {"data.size=10", "model.downsamples=3"});
    });
    expect_error(ErrorKind::usage, {"data.path", "--data"}, [&] { run(folder / "d", {"data.kind=idx"}); });
    expect_error(ErrorKind::data, {"nowhere"}, [&] { run(folder / "e", {"data.kind=idx", "data.path=nowhere"}); });
    expect_error(ErrorKind::usage, {"train.batch", "54", "53"}, [&] { run(folder / "f", {"train.batch=54"}); });
    expect_error(ErrorKind::usage, {"model.height", "9", "8x8x3"}, [&] { run(folder / "g", {"model.height=9"}); });
    expect_error(ErrorKind::usage, {"train.batch 5", "train.accumulate 11", "55 images a step", "53", "lower"},
                 [&] { run(folder / "h", {"train.accumulate=11"}); });
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"})
      CHECK(!std::filesystem::exists(folder / name / "checkpoints"));
  }
}

}  // namespace
}  // namespace gesso
