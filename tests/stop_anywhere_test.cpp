// Runs that are asked to stop while any of their ops runs.
#include <doctest/doctest.h>

#include <random>

#include "ops/op_watch.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

// Counts the ops of a run from its first step on, and asks it to stop at one of them.
class StopAtOp final : public OpWatch {
 public:
  explicit StopAtOp(std::int64_t at = INT64_MAX) : at_(at) {}

  RunControls controls;
  std::int64_t ops = 0;
  std::vector<std::int64_t> ends;  // of steps: how many ops there were when they were decided on

  void computed(const OpResults& results) override {
    if (!controls.looked_after) return;
    if (ops++ == at_) controls.stop = true;
    if (results.op == "step_gate") ends.push_back(ops);
  }

 private:
  std::int64_t at_;
};

// From op `begin` to before `end`.
struct Phase {
  std::string name;
  std::int64_t begin, end;
};

// Of a run of nine steps, of which the first, the fourth and the last are among those with pictures.
std::vector<Phase> phases_of(const StopAtOp& run) {
  const std::int64_t pictures = (run.ends[4] - run.ends[3]) - (run.ends[3] - run.ends[2]);  // ops of one making
  return {{"the first step", 0, run.ends[0]},
          {"pictures", run.ends[3] + pictures / 2, run.ends[3] + pictures},
          {"the last evaluation", run.ends[8] + 2 * pictures, run.ends[8] + 4 * pictures},
          {"any step or picture", 0, run.ends[8]}};
}

TEST_SUITE("stop anywhere") {
  TEST_CASE(
      "a run that is asked to stop at any op of steps, pictures and its last evaluation goes on to the same bits") {
    const TemporaryDirectory folder;
    const std::vector<std::string> more = {"train.steps=9", "data.test_count=30"};
    const auto files_of = [](const Path& run) {
      auto files = state_files(run);
      files["extremes"] = read_text_file(run / "extremes.json", 1 << 20);
      return files;
    };
    StopAtOp counting;
    CHECK(train_small(more, {.directory = folder / "whole", .controls = &counting.controls}).end == RunEnd::finished);
    const auto whole = files_of(folder / "whole");
    REQUIRE(counting.ends.size() == 9);
    std::mt19937_64 random(test_seed());
    for (const Phase& phase : phases_of(counting)) {
      REQUIRE(phase.begin < phase.end);
      for (int i = 0; i < 5; ++i) {
        const std::int64_t at =
            phase.begin + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(phase.end - phase.begin));
        INFO("stopped in ", phase.name, ", at op ", at);
        const Path run = folder / fmt::format("{}-{}", phase.name, i);
        {
          StopAtOp stop(at);
          const RunSummary stopped = train_small(more, {.directory = run, .controls = &stop.controls});
          CHECK(stopped.end == RunEnd::interrupted);
          CHECK(stopped.checkpoint == list_checkpoints(run).back().directory);
          CHECK(list_checkpoints(run).back().step == stopped.step);
          CHECK((stopped.step == 9) == (phase.name == "the last evaluation"));
          CHECK(!std::filesystem::exists(run / "extremes.json"));
        }
        CHECK(train_small({}, {.directory = run, .resume = true}).end == RunEnd::finished);
        CHECK(files_of(run) == whole);
      }
    }
  }
}

}  // namespace
}  // namespace gesso
