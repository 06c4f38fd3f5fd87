// Whole runs that are killed, that meet damaged checkpoints, full disks and each other.
#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <thread>

#include "tests/checkpoint_samples.h"
#include "tests/decoded_events.h"
#include "tests/expect_error.h"
#include "tests/faulty_file_system.h"
#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/started_program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/append_file.h"
#include "train/run_history.h"

namespace gesso {
namespace {

// What happened on the way, each with its step.
std::vector<std::string> told_events(const Path& run) {
  std::vector<std::string> texts;
  for (const StepEvent& event : read_history(run).events) texts.push_back(event.text);
  return texts;
}

// The steps of the lines of values, in their order.
std::vector<std::int64_t> logged_steps(const Path& run) {
  std::vector<std::int64_t> steps;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string line; std::getline(file, line);)
    if (const auto object = nlohmann::json::parse(line); object.at("split") == "train")
      steps.push_back(object.at("step"));
  return steps;
}

void flip_a_bit(const Path& file) {
  std::string content = read_text_file(file, 1 << 24);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 4);
  std::ofstream(file, std::ios::binary) << content;
}

// A run of the program that is killed and started again.
class KilledRun {
 public:
  int lost = 0, torn = 0, moved_back = 0, in_save = 0;  // kills that did so
  std::int64_t newest = 0;

  explicit KilledRun(const TemporaryDirectory& folder) : folder_(folder), random_(test_seed()) {}

  // after_save: not before it has saved a step of its own. Every second of these waits for a save to begin as well,
  // which is little of the time where a sanitizer slows all else down.
  void start_and_kill(bool after_save) {
    StartedProgram program(folder_ / "output", tiny_training(folder_ / "run", kForever, newest > 0, {"log.every=1"}));
    const auto wait_until = [&](auto&& it_came) {
      for (; !it_came(); std::this_thread::sleep_for(std::chrono::microseconds(200)))
        if (!program.runs()) FAIL("it ended by itself: ", read_text_file(folder_ / "output", 1 << 20));
    };
    const bool in_a_save = after_save && random_() % 2 == 0;
    if (after_save) wait_until([this] { return newest_name() > newest; });
    if (in_a_save) wait_until([this] { return is_saving(); });
    const int most = in_a_save ? 2'000 : after_save ? 15'000 : 60'000;
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % static_cast<std::uint64_t>(most)));
    program.end(SIGKILL);
    look();
  }
  std::uint64_t chance() { return random_(); }

 private:
  std::int64_t newest_name() const {
    const auto all = list_checkpoints(folder_ / "run");
    return all.empty() ? 0 : all.back().step;
  }
  bool is_saving() const {
    return std::ranges::any_of(list_directory(folder_ / "run" / "checkpoints"), [](const std::string& name) {
      return name.starts_with(fmt::format("{}step-", kTemporaryPrefix)) || name.starts_with(kTrashPrefix);
    });
  }
  void look() {
    in_save += is_saving() ? 1 : 0;
    try {
      const VerifiedCheckpoint found = load_all(checkpoint_store(folder_ / "run"));
      if (!found.damaged.empty()) ++torn;
      if (found.checkpoint.step < newest) ++moved_back;
      newest = found.checkpoint.step;
    } catch (const Error&) {
      ++lost;
    }
  }

  const TemporaryDirectory& folder_;
  std::mt19937_64 random_;
};

// The real disk, of which the call to sync `checkpoints` fails that ends the save of `step`, and `more` after it.
class DoubtfulDisk final : public FaultyFileSystem {
 public:
  DoubtfulDisk(std::int64_t step, int more)
      : FaultyFileSystem(posix_file_system(), {.call = INT64_MAX}),
        name_(fmt::format("step-{:08}", step)),
        left_(more) {}

  IoResult rename(const Path& from, const Path& to) override {
    if (to.filename() == name_) is_there_ = true;
    return FaultyFileSystem::rename(from, to);
  }
  IoResult sync(int handle) override {
    if (is_there_ && left_-- >= 0) {
      has_new_name_ = false;
      return {.error = EIO};
    }
    if (is_there_ && has_new_name_) proved = true;
    return FaultyFileSystem::sync(handle);
  }
  IoResult make_directory(const Path& path) override {
    has_new_name_ = true;
    return FaultyFileSystem::make_directory(path);
  }

  bool proved = false;  // a sync worked that had names to write, as systems tell of a failed write once and forget it

 private:
  std::string name_;
  int left_;
  bool is_there_ = false, has_new_name_ = false;
};

// The real disk, of which the first file of one checkpoint fails, late.
class LateFailure final : public FaultyFileSystem {
 public:
  explicit LateFailure(std::string checkpoint)
      : FaultyFileSystem(posix_file_system(), {.call = INT64_MAX}), checkpoint_(std::move(checkpoint)) {}

  IoResult create_file(const Path& path) override {
    if (path.parent_path().filename() != checkpoint_) return FaultyFileSystem::create_file(path);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return {.error = EIO};
  }

 private:
  std::string checkpoint_;
};

TEST_SUITE("durable run") {
  TEST_CASE("a run that is killed again and again loses nothing, and has the bits of one that was not") {
    const TemporaryDirectory folder;
    KilledRun run(folder);
    const int kills = times("GESSO_TEST_KILLS", 40);
    for (int i = 0; i < kills; ++i) run.start_and_kill(i == 0 || run.chance() % 4 != 0);
    CHECK(run.lost == 0);
    CHECK(run.torn == 0);
    CHECK(run.moved_back == 0);
    MESSAGE(kills, " kills, ", run.in_save, " during a save, ", run.newest, " steps");
    CHECK(10 * run.in_save >= 3 * kills);

    const std::int64_t end = run.newest + 1;
    CHECK(run_program(folder.path(), tiny_training(folder / "run", end, true)).exit_code == 0);
    std::vector<std::string> words = tiny_training(folder / "whole", end, false);
    words.push_back("checkpoint.every=1000000");
    CHECK(run_program(folder.path(), words).exit_code == 0);
    CHECK(state_files(folder / "run") == state_files(folder / "whole"));
    std::vector<std::int64_t> every_step(static_cast<std::size_t>(end));
    std::iota(every_step.begin(), every_step.end(), 1);
    CHECK(logged_steps(folder / "run") == every_step);
    CHECK(told_events(folder / "run") == told_events(folder / "whole"));
    int event_files = 0;  // of processes that lived long enough: readable up to where they were killed
    for (const std::string& name : list_directory(folder / "run")) {
      if (name.find("tfevents") == std::string::npos) continue;
      ++event_files;
      CHECK(!read_records(read_text_file(folder / "run" / name, 1 << 28)).damaged);
    }
    CHECK(event_files > kills / 2);
  }

  TEST_CASE("a second process on a run is refused at once, and may go on when the first is gone") {
    const TemporaryDirectory folder;
    StartedProgram first(folder / "output", tiny_training(folder / "run", kForever, false));
    while (list_checkpoints(folder / "run").empty()) REQUIRE(first.runs());
    for (const bool resume : {true, false}) {
      const Program second = run_program(folder.path(), tiny_training(folder / "run", 5, resume));
      CHECK(second.exit_code == static_cast<int>(ErrorKind::usage));
      if (resume) CHECK_MESSAGE(second.errors.find("is in use by process ") != std::string::npos, second.errors);
      CHECK_MESSAGE(second.cpu_seconds < 1, "it waits for nothing, so this is what it takes");
    }
    CHECK(run_program(folder.path(), {"evaluate", folder / "run"}).exit_code == 0);
    CHECK(first.runs());
    CHECK(first.end(SIGKILL) == 128 + SIGKILL);
    const std::int64_t newest = list_checkpoints(folder / "run").back().step;
    CHECK(run_program(folder.path(), tiny_training(folder / "run", newest + 1, true)).exit_code == 0);
  }

  TEST_CASE("a run in use is refused before its data are opened, and a folder that is no run is left as it is") {
    const TemporaryDirectory folder;
    (void)train_small({"train.steps=1"}, {.directory = folder / "run"});
    for (const bool resume : {true, false}) {
      const RunLock lock(posix_file_system(), folder / "run");
      RunRequest request{.recipe = "vqvae-shapes", .directory = folder / "run", .resume = resume};
      request.assignments = {"data.kind=folder", "data.path=nowhere"};
      RecipeFile file;
      expect_error(ErrorKind::usage, {"is in use by process"}, [&] { (void)prepare_run(request, file); });
    }
    make_directories(folder / "other");
    expect_error(ErrorKind::data, {"other", "no config.json"},
                 [&] { (void)train_small({}, {.directory = folder / "other", .resume = true}); });
    expect_error(ErrorKind::usage, {"train.batch", "more than the 4 images"},
                 [&] { (void)train_small({"data.count=4"}, {.directory = folder / "other"}); });
    CHECK(list_directory(folder / "other").empty());
  }

  TEST_CASE("a start removes what killed ones left half written, and nothing that others keep there") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    constexpr int kNobody = (1 << 22) + 1;  // above any number of a process
    const std::vector<std::string> ours = {".tmp-config.json-7-1",
                                           ".tmp-metrics.jsonl-7-22",
                                           ".tmp-skipped.txt-7-3",
                                           ".tmp-codes.txt-7-4",
                                           ".tmp-extremes.json-7-5",
                                           ".tmp-worst.png-7-6",
                                           ".tmp-best.png-7-7",
                                           fmt::format(".tmp-report.html-{}-1", kNobody),
                                           fmt::format(".tmp-report.html-{}-1", getpid()),
                                           "samples/.tmp-step-00000001.png-7-1",
                                           "checkpoints/.tmp-step-00000002/weights.safetensors",
                                           "checkpoints/.trash-step-00000001/weights.safetensors"};
    const std::vector<std::string> others = {
        ".tmp-build/object.o",      ".tmp-config.json-7-2/file",
        ".tmp-config.json",         ".tmp-config.json-7-x",
        ".tmp-config.json--1",      ".tmp-notes-7-1",
        ".trash-config.json-7-1",   "samples/.tmp-mine-7-1/step-1.png",
        "samples/.tmp-cat.png-7-1", "checkpoints/.tmp-mine/file",
        "checkpoints/.trash-mine",  fmt::format(".tmp-report.html-{}-1", getppid())};
    for (const auto* names : {&ours, &others})
      for (const std::string& name : *names) {
        make_directories((run / name).parent_path());
        write_file_atomically(run / name, "x");
      }
    (void)train_small({"train.steps=1"}, {.directory = run});
    for (const std::string& name : ours) CHECK_MESSAGE(!std::filesystem::exists(run / name), name);
    for (const std::string& name : others) CHECK_MESSAGE(std::filesystem::exists(run / name), name);
  }

  TEST_CASE("a run whose page cannot be made ends as it would with one") {
    const TemporaryDirectory folder;
    for (const std::string name : {"finished", "stopped"})
      make_directories(folder / (name + "/report.html/in the way"));
    const Program finished = run_program(folder.path(), tiny_training(folder / "finished", 3, false));
    CHECK(finished.exit_code == 0);
    CHECK_MESSAGE(finished.errors.find("the run lacks nothing but its page") != std::string::npos, finished.errors);
    StartedProgram stopped(folder / "output", tiny_training(folder / "stopped", kForever, false));
    while (!std::filesystem::exists(folder / "stopped" / "checkpoints" / "step-00000001")) REQUIRE(stopped.runs());
    CHECK(stopped.end(SIGTERM) == 75);
  }

  TEST_CASE("a torn end of a file that grows by lines spoils no line behind it") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    (void)train_small({"train.steps=1"}, {.directory = run});
    std::ofstream(run / "starts.jsonl", std::ios::app) << "{\"step\":1";
    (void)train_small({"train.steps=2"}, {.directory = run, .resume = true});
    const std::vector<RunStart> starts = read_history(run).starts;
    REQUIRE(starts.size() == 2);
    CHECK(starts[1].step == 1);

    const Path path = folder.write("lines", "torn");
    AppendFile(path, AppendFile::Open::at_end).append("one\n");
    AppendFile(path, AppendFile::Open::at_end).append("two\n");
    CHECK(read_text_file(path, 100) == "torn\none\ntwo\n");
    AppendFile(folder / "new", AppendFile::Open::at_end).append("one\n");
    CHECK(read_text_file(folder / "new", 100) == "one\n");
  }

  TEST_CASE("a run whose newest checkpoint is damaged goes on from the one before, to the same bits") {
    const TemporaryDirectory folder;
    (void)train_small({"train.steps=12", "checkpoint.every=4"}, {.directory = folder / "whole"});
    (void)train_small({"train.steps=9", "checkpoint.every=4"}, {.directory = folder / "run"});
    const Path checkpoints = folder / "run" / "checkpoints";
    flip_a_bit(checkpoints / "step-00000009" / "moment2.safetensors");
    flip_a_bit(checkpoints / "step-00000009" / "weights.safetensors");  // inference takes their average
    flip_a_bit(checkpoints / "step-00000008" / "manifest.json");
    const auto trained = open_run(folder / "run", {}, device(DeviceKind::cpu));
    CHECK_MESSAGE(trained->step == 9, "who does not read the damaged file does not care");
    const RunSummary summary = train_small({"train.steps=12"}, {.directory = folder / "run", .resume = true});
    CHECK(summary.step == 12);
    CHECK(state_files(folder / "run") == state_files(folder / "whole"));
    CHECK(list_directory(checkpoints) == std::vector<std::string>{"damaged-step-00000008", "damaged-step-00000009",
                                                                  "step-00000004", "step-00000008", "step-00000012"});
    CHECK(logged_steps(folder / "run") == std::vector<std::int64_t>{4, 8, 12});
  }

  TEST_CASE("where every checkpoint is damaged nothing is moved, and nothing is trained") {
    const TemporaryDirectory folder;
    (void)train_small({"train.steps=4", "checkpoint.every=2"}, {.directory = folder / "run"});
    const Path checkpoints = folder / "run" / "checkpoints";
    const auto before = list_directory(checkpoints);
    for (const std::string& name : before) flip_a_bit(checkpoints / name / "weights.safetensors");
    expect_error(ErrorKind::data, {"step-00000002: weights.safetensors", "step-00000004: weights.safetensors"},
                 [&] { (void)train_small({"train.steps=6"}, {.directory = folder / "run", .resume = true}); });
    CHECK(list_directory(checkpoints) == before);
  }

  TEST_CASE("a call that fails once costs a run nothing, whichever it is") {
    const TemporaryDirectory folder;
    const std::vector<std::string> more = {"train.steps=6", "checkpoint.every=2"};
    (void)train_small(more, {.directory = folder / "whole"});
    std::int64_t call = 30;  // behind those of the start, which tell and end
    for (bool came = true; came; call += 9) {
      FaultyFileSystem faulty(posix_file_system(), {.error = call % 2 == 0 ? EIO : ENOSPC, .call = call});
      const Path directory = folder / fmt::format("call-{}", call);
      CAPTURE(call);
      const RunSummary summary = train_small(more, {.directory = directory, .files = &faulty});
      came = faulty.has_failed();
      CHECK(summary.step == 6);
      CHECK(state_files(directory) == state_files(folder / "whole"));
    }
    CHECK(call > 100);
  }

  TEST_CASE("a last save that may not be on disk is synced again; where that fails too the run ends with an error") {
    const TemporaryDirectory folder;
    DoubtfulDisk once(4, 0), twice(4, 1), before(2, 0);
    const std::vector<std::string> more = {"train.steps=4", "checkpoint.every=2"};
    CHECK(train_small(more, {.directory = folder / "once", .files = &once}).step == 4);
    CHECK(once.proved);
    CHECK(list_directory(folder / "once" / "checkpoints") ==
          std::vector<std::string>{"step-00000002", "step-00000004"});
    CHECK(train_small(more, {.directory = folder / "before", .files = &before}).step == 4);
    expect_error(ErrorKind::io, {"step 4, the last one, is saved", "step-00000004", "sync", "Input/output error"},
                 [&] { (void)train_small(more, {.directory = folder / "twice", .files = &twice}); });
    const auto names = [&] { return list_directory(folder / "twice" / "checkpoints"); };
    CHECK(names() == std::vector<std::string>{"step-00000002", "step-00000004"});
    CHECK(state_files(folder / "twice") == state_files(folder / "once"));
    (void)train_small({}, {.directory = folder / "twice", .resume = true});
    CHECK(names() == std::vector<std::string>{"step-00000002", "step-00000004"});
  }

  TEST_CASE("a save that failed while the next was waiting is not made once more") {
    const TemporaryDirectory folder;
    LateFailure files(".tmp-step-00000002");
    (void)train_small({"train.steps=8", "checkpoint.every=2", "checkpoint.keep=0"},
                      {.directory = folder / "run", .files = &files});
    CHECK(list_directory(folder / "run" / "checkpoints") ==
          std::vector<std::string>{"step-00000004", "step-00000006", "step-00000008"});
  }

  TEST_CASE("a disk that stays full ends no training but its last save, and the run can go on from what is saved") {
    const TemporaryDirectory folder;
    const std::vector<std::string> more = {"train.steps=12", "checkpoint.every=3"};
    (void)train_small(more, {.directory = folder / "whole"});
    FaultyFileSystem full(posix_file_system(), {.error = ENOSPC, .call = 120, .lasts = true});
    expect_error(ErrorKind::io, {"step 12, the last one, could not be saved", "No space left", "step-0000000"},
                 [&] { (void)train_small(more, {.directory = folder / "run", .files = &full}); });
    CHECK(logged_steps(folder / "run") == std::vector<std::int64_t>{4, 8, 12});
    CHECK(list_checkpoints(folder / "run").back().step < 12);
    (void)train_small({}, {.directory = folder / "run", .resume = true});
    CHECK(state_files(folder / "run") == state_files(folder / "whole"));
  }
}

}  // namespace
}  // namespace gesso
