// Trainings that meet spikes: what they cost, and what they would if nobody looked.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "tests/expect_error.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/trainee.h"
#include "train/data_loader.h"
#include "train/open_dataset.h"

namespace gesso {
namespace {

using ops::StepVerdict;

constexpr int kSpikes = 100;
constexpr std::int64_t kQuiet = 256, kBlock = 12;  // steps before the first spike; a spike in each so many
constexpr std::int64_t kSteps = kQuiet + kSpikes * kBlock;

// The value of that name after evaluation of what was trained.
double evaluated(Task& task, const Dataset& data, std::string_view name) {
  Device& cpu = device(DeviceKind::cpu);
  const nn::StepState state(cpu);
  nn::StateUpdates unused;
  for (const Metric& metric : task.evaluate({.device = cpu, .state = state, .updates = unused}, data, 32))
    if (metric.name == name) return metric.value;
  return -1;
}

constexpr std::int64_t kBatch = 8;

// A training on soft pictures, of which some batches are replaced by noise.
struct BadBatches {
  Trainee trainee;
  std::set<std::int64_t> skipped = {};

  explicit BadBatches(nn::SpikePolicy policy)
      : trainee({.hidden = 8,
                 .residual_hidden = 4,
                 .codes = 16,
                 .pictures = 64,
                 .batch = kBatch,
                 .spikes = {.policy = policy}}) {}

  // Makes the steps, or leaves those out that are bad.
  void train(const std::set<std::int64_t>& bad, bool leave_out) {
    const nn::Schedule schedule{.kind = nn::ScheduleKind::cosine, .rate = 2e-3, .horizon = kSteps, .final_rate = 1e-5};
    const Dataset& data = trainee.data();
    std::mt19937_64 random(test_seed());
    for (std::int64_t step = 0; step < kSteps; ++step) {
      if (leave_out && bad.contains(step)) continue;
      std::vector<std::int64_t> samples;
      for (std::int64_t i = 0; i < kBatch; ++i) samples.push_back((kBatch * step + i) % data.size());
      Batch batch = read_batch(data, samples);
      if (bad.contains(step))
        for (std::uint8_t& pixel : batch.images) pixel = random() % 2 == 0 ? 0 : 255;
      trainee.take(batch);
      const nn::StepDecision decision = trainee.run(step, schedule.at(step)).decision();
      if (decision.verdict == StepVerdict::skipped) skipped.insert(step);
      REQUIRE(!ops::stops(decision.verdict));
    }
  }
  double error() { return evaluated(trainee.task(), trainee.data(), "mse"); }  // of all pictures
};

// Above 0: worse than `clean`, in percent.
double percent_above(double clean, double value) { return 100 * (value / clean - 1); }

// Runs of the trainer at a rate that stays, and what they end with.
const std::vector<std::string> kSteady = {"schedule.kind=constant", "checkpoint.every=50", "log.every=50",
                                          "data.test_count=40"};

void go_on(const Path& run, std::int64_t steps, std::vector<std::string> more) {
  const bool resume = std::filesystem::exists(run);
  if (!resume) more.insert(more.begin(), kSteady.begin(), kSteady.end());
  more.push_back(fmt::format("train.steps={}", steps));
  (void)train_small(std::move(more), {.directory = run, .resume = resume});
}

// The mean squared error of a run's test pictures.
double error_of(const Path& run) {
  const auto trained = open_run(run, {}, device(DeviceKind::cpu));
  return evaluated(*trained->task, *open_dataset(trained->file.recipe().data, Split::validation, 1), "mse");
}

std::vector<std::int64_t> saved_steps(const Path& run) {
  std::vector<std::int64_t> steps;
  for (const Checkpoint& checkpoint : list_checkpoints(run)) steps.push_back(checkpoint.step);
  return steps;
}

TEST_SUITE("spiked training") {
  TEST_CASE("a hundred bad batches that are skipped leave no trace, and let through they cost more than 2 %") {
    std::mt19937_64 random(test_seed());
    std::set<std::int64_t> bad;
    for (std::int64_t i = 0; i < kSpikes; ++i)
      bad.insert(kQuiet + kBlock * i + static_cast<std::int64_t>(random() % kBlock));
    REQUIRE(bad.size() == kSpikes);
    BadBatches clean(nn::SpikePolicy::skip), skipping(nn::SpikePolicy::skip), logging(nn::SpikePolicy::log);
    clean.train(bad, true);
    skipping.train(bad, false);
    logging.train(bad, false);
    const double skipped = percent_above(clean.error(), skipping.error());
    const double logged = percent_above(clean.error(), logging.error());
    MESSAGE("error of the pictures: ", clean.error(), "; with ", kSpikes, " bad batches among ", kSteps, ": ", skipped,
            " % above where they are skipped, ", logged, " % where they are let through");
    CHECK(clean.skipped.empty());
    CHECK(skipping.skipped == bad);
    CHECK(skipping.trainee.trained() == clean.trainee.trained());
    CHECK(skipped == 0);
    CHECK(logged > 2);
  }

  TEST_CASE("jumps of the learning rate stop a run, which goes on from before them to the bits of one that had none") {
    const TemporaryDirectory folder;
    const Path run = folder / "run", whole = folder / "whole", blind = folder / "blind";
    go_on(whole, 400, {});
    go_on(run, 150, {});
    for (const std::int64_t jump : {150, 200, 250, 300, 350}) {
      expect_error(ErrorKind::numeric,
                   {"a spike", "no more may be skipped", fmt::format("the last checkpoint is {}", run.string()),
                    fmt::format("step-{:08}", jump), "go on with --resume and a lower schedule.rate"},
                   [&] { go_on(run, jump + 50, {"schedule.rate=0.3"}); });
      CHECK(saved_steps(run).back() == jump);
      go_on(run, jump + 50, {"schedule.rate=3e-3"});
    }
    CHECK(state_files(run) == state_files(whole));

    const std::vector<std::string> unwatched = {"spikes.policy=log"};
    go_on(blind, 350, unwatched);
    go_on(blind, 353, {"schedule.rate=0.3"});
    go_on(blind, 400, {"schedule.rate=3e-3"});
    const double above = percent_above(error_of(whole), error_of(blind));
    MESSAGE("three steps at a hundred times the rate, let through: ", above, " % above, 47 steps later");
    CHECK(above > 10);
  }

  TEST_CASE("steps that are skipped push out no good checkpoint, and the message tells which one is good") {
    const TemporaryDirectory folder;
    const Path run = folder / "run", whole = folder / "whole";
    go_on(whole, 220, {});
    go_on(run, 200, {"checkpoint.keep=3"});
    expect_error(ErrorKind::numeric, {"went on from is", "step-00000200; newer ones", "moved away", "step-00000201; "},
                 [&] {
                   go_on(run, 220, {"schedule.rate=0.3", "checkpoint.every=1"});
                 });
    CHECK(saved_steps(run) == std::vector<std::int64_t>{150, 200, 201});
    expect_error(ErrorKind::numeric, {"no more may be skipped"}, [&] { go_on(run, 220, {"schedule.rate=3e-3"}); });
    std::filesystem::remove_all(list_checkpoints(run).back().directory);
    go_on(run, 220, {});
    CHECK(state_files(run) == state_files(whole));
  }
}

}  // namespace
}  // namespace gesso
