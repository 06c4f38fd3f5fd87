// Signals to whole runs: stops at random moments, and what is asked for in between.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <random>
#include <thread>

#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/started_program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"

namespace gesso {
namespace {

constexpr int kSavedAndStopped = 75;

void pause_ms(std::uint64_t milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

std::int64_t newest_checkpoint(const Path& run) {
  const auto all = list_checkpoints(run);
  return all.empty() ? 0 : all.back().step;
}

// Steps that pictures were made of, rising.
std::vector<std::int64_t> pictured_steps(const Path& run) {
  std::vector<std::int64_t> steps;
  if (!std::filesystem::exists(run / "samples")) return steps;
  for (const std::string& name : list_directory(run / "samples"))
    if (name.starts_with("step-")) steps.push_back(std::stoll(name.substr(5)));
  return steps;
}

// A training in a process of its own, and its words.
class Training {
 public:
  Training(const TemporaryDirectory& folder, const std::vector<std::string>& words)
      : output_(folder / "output"), program_(output_, words) {}

  StartedProgram& program() { return program_; }
  std::string words() const { return read_text_file(output_, 1 << 24); }
  template <class Condition>
  void wait_until(Condition&& holds) {
    while (!holds()) {
      REQUIRE_MESSAGE(program_.runs(), words());
      pause_ms(1);
    }
  }
  // The last line before the first step.
  void wait_for_first_step() {
    wait_until([&] { return words().find("\ndeterminism ") != std::string::npos; });
  }

 private:
  Path output_;
  StartedProgram program_;
};

// A step of it takes long enough for a second signal.
const std::vector<std::string> kSlow = {"train.batch=64", "data.size=64", "data.count=64", "model.hidden=64"};

TEST_SUITE("signals") {
  TEST_CASE("a run that is stopped by SIGTERM again and again has the bits of one that was not") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    // Most of its time goes into pictures.
    const std::vector<std::string> more = {"checkpoint.every=5", "sample.every=1", "data.test_count=16",
                                           "sample.count=16"};
    std::mt19937_64 random(test_seed());
    const int stops = times("GESSO_TEST_STOPS", 6);
    int unsaved = 0, early = 0;  // stops at a step that is not due; ends before the run had begun
    std::int64_t start_ms = 1;   // what it takes the program to begin
    for (int i = 0; i < stops;) {
      const std::int64_t before = newest_checkpoint(run);
      const auto began = std::chrono::steady_clock::now();
      Training training(folder, tiny_training(run, kForever, before > 0, more));
      if (i % 3 == 0) {
        training.wait_for_first_step();
        start_ms = 1 + std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
      } else if (i % 3 == 1) {
        training.wait_until([&] { return !pictured_steps(run).empty() && pictured_steps(run).back() > before; });
        pause_ms(random() % 30);
      } else {
        pause_ms(random() % static_cast<std::uint64_t>(2 * start_ms));
      }
      const int code = training.program().end(SIGTERM);
      const std::int64_t now = newest_checkpoint(run);
      if (code == 128 + SIGTERM) {
        CHECK(now == before);
        REQUIRE(++early < 20 * stops);
        start_ms += start_ms / 4;  // the machine may have become slower
        continue;
      }
      ++i;
      REQUIRE_MESSAGE(code == kSavedAndStopped, training.words());
      CHECK(now > before);
      CHECK(pictured_steps(run).back() <= now);
      if (now % 5 != 0) ++unsaved;
    }
    const std::int64_t end = newest_checkpoint(run) + 1;
    MESSAGE(stops, " stops, ", unsaved, " at a step that was not due, in ", end, " steps; ", early, " ends before one");
    CHECK(unsaved > 0);
    CHECK(run_program(folder.path(), tiny_training(run, end, true, more)).exit_code == 0);
    CHECK(run_program(folder.path(), tiny_training(folder / "whole", end, false, {"data.test_count=16"})).exit_code ==
          0);
    CHECK(state_files(run) == state_files(folder / "whole"));
  }

  TEST_CASE("SIGUSR1 saves and SIGUSR2 makes pictures, at the end of the step, and the run stays what it was") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    Training training(folder, tiny_training(run, kForever, false, {"checkpoint.every=1000000"}));
    training.wait_for_first_step();
    CHECK(newest_checkpoint(run) == 0);
    for (int i = 0; i < 2; ++i) {
      const std::int64_t before = newest_checkpoint(run);
      training.program().send(SIGUSR1);
      training.wait_until([&] { return newest_checkpoint(run) > before; });
    }
    const auto unasked = [](std::int64_t step) { return std::has_single_bit(static_cast<std::uint64_t>(step)); };
    training.program().send(SIGUSR2);
    training.wait_until([&] {
      const auto steps = pictured_steps(run);
      const bool is_there = !std::ranges::all_of(steps, unasked);
      if (!is_there) training.program().send(SIGUSR2);  // its step may have been due
      return is_there;
    });
    CHECK(training.program().end(SIGTERM) == kSavedAndStopped);
    const std::int64_t end = newest_checkpoint(run) + 1;
    CHECK(run_program(folder.path(), tiny_training(run, end, true)).exit_code == 0);
    CHECK(run_program(folder.path(), tiny_training(folder / "whole", end, false)).exit_code == 0);
    CHECK(state_files(run) == state_files(folder / "whole"));
  }

  TEST_CASE("a second SIGINT stops at once; a second SIGTERM, which timeout sends, does not") {
    const TemporaryDirectory folder;
    const auto stop_twice = [&](const char* name, int number) {
      Training training(folder, tiny_training(folder / name, kForever, false, kSlow));
      training.wait_for_first_step();
      training.program().send(number);
      training.wait_until([&] { return training.words().find("stopping after this step") != std::string::npos; });
      return training.program().end(number);
    };
    CHECK(stop_twice("interrupted", SIGINT) == 128 + SIGINT);
    CHECK(newest_checkpoint(folder / "interrupted") == 0);
    CHECK(stop_twice("terminated", SIGTERM) == kSavedAndStopped);
    CHECK(newest_checkpoint(folder / "terminated") == 1);
  }
}

}  // namespace
}  // namespace gesso
