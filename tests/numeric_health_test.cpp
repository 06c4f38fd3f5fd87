// Numbers that stop being finite: nothing is touched by them, and where they came from is named.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "tests/pattern_dataset.h"
#include "tests/support.h"
#include "train/comparison.h"
#include "train/first_bad.h"
#include "train/step.h"
#include "train/vqvae_task.h"

namespace gesso {
namespace {

// A place where a number may go wrong: a result of an op of a step.
struct Site {
  std::int64_t call = -1;  // of the step's, in order
  std::size_t result = 0;
  std::string op, module;
  OpPass pass = OpPass::forward;
};

// What goes wrong there.
struct Sabotage {
  Site site = {};
  float value = 0;
  bool everywhere = false;  // in every element, else in one
};

// Lists the sites of a step, and spoils what it is told to.
class Saboteur final : public OpWatch {
 public:
  std::vector<Site> seen;

  void begin_step(const Sabotage& plan = {}) {
    seen.clear();
    calls_ = 0;
    plan_ = plan;
  }
  void computed(const OpResults& results) override {
    for (std::size_t i = 0; i < results.tensors.size(); ++i) {
      const Tensor& tensor = results.tensors[i];
      if (tensor.spec().dtype != DType::f32 || tensor.count() == 0) continue;
      seen.push_back({calls_, i, std::string(results.op), std::string(results.module), results.pass});
      if (calls_ != plan_.site.call || i != plan_.site.result) continue;
      std::vector<float> values = tensor.to_host<float>();
      values[values.size() / 2] = plan_.value;
      if (plan_.everywhere) std::ranges::fill(values, plan_.value);
      tensor.copy_from_host(std::as_bytes(std::span(values)));
    }
    ++calls_;
  }

 private:
  std::int64_t calls_ = 0;
  Sabotage plan_;
};

// A small model, with all that a step may touch.
class Trainee {
 public:
  Trainee()
      : task_({.model = {.height = 8,
                         .width = 8,
                         .channels = 1,
                         .hidden = 4,
                         .residual_hidden = 2,
                         .residual_blocks = 1,
                         .dropout = 0.1,
                         .quantizer = {.codes = 8, .width = 4, .revive_below = 0.5}}},
              cpu_),
        optimizer_(task_.store(), {.clip_norm = 1, .ema_decay = 0.9}),
        images_(read_images(data_, 0, 4, cpu_)),
        step_(task_, optimizer_, images_, {.seed = test_seed()}) {
    task_.measure(data_);
  }

  StepValues run(std::int64_t step) { return step_.run(step, 1e-3); }
  std::optional<BadResult> look(std::int64_t step) { return step_.look_for_bad(step, 1e-3); }
  std::vector<std::vector<float>> state() const {
    std::vector<std::vector<float>> all;
    for (const Tensor& arena : {task_.store().weights(), task_.store().state(), optimizer_.first_moment(),
                                optimizer_.second_moment(), optimizer_.ema()})
      all.push_back(arena.to_host<float>());
    return all;
  }

 private:
  Device& cpu_ = device(DeviceKind::cpu);
  PatternDataset data_{{8, 8, 1}, 4};
  VqvaeTask task_;
  nn::Optimizer optimizer_;
  Tensor images_;  // [4,8,8,1] u8
  TrainStep step_;
};

// The sites of a step that is not the first, up to the optimiser.
std::vector<Site> sites_of_a_step() {
  Trainee trainee;
  (void)trainee.run(0).read();
  Saboteur sites;
  (void)trainee.look(1);
  return sites.seen;
}

struct Outcome {
  bool stopped = false;    // nothing moved, in that step and the next
  bool traceless = false;  // both steps moved what they would have moved without
  bool named = false;
};

Outcome try_out(const Sabotage& plan, std::int64_t step) {
  Trainee trainee, clean;
  for (std::int64_t before = 0; before < step; ++before) REQUIRE(trainee.run(before).is_good());
  for (std::int64_t before = 0; before <= step + 1; ++before) REQUIRE(clean.run(before).is_good());
  const auto good = trainee.state();
  Saboteur saboteur;
  saboteur.begin_step(plan);
  const bool is_good = trainee.run(step).is_good();
  const auto after = trainee.state();
  saboteur.begin_step();
  const bool later_good = trainee.run(step + 1).is_good();
  const auto later = trainee.state();
  saboteur.begin_step(plan);
  const std::optional<BadResult> found = trainee.look(step);
  const Site& site = plan.site;
  return {.stopped = !is_good && !later_good && after == good && later == good,
          .traceless = is_good && later_good && later == clean.state(),
          .named = found && found->op == site.op && found->module == site.module && found->pass == site.pass};
}

TEST_SUITE("numeric health") {
  TEST_CASE("numbers that go wrong anywhere in a step move nothing, then or later, and their op is named") {
    const std::vector<Site> all = sites_of_a_step();
    const auto of = [&](auto&& wanted) {
      std::vector<Site> sites;
      std::ranges::copy_if(all, std::back_inserter(sites), wanted);
      REQUIRE(!sites.empty());
      return sites;
    };
    const auto forward = of([](const Site& site) { return site.pass == OpPass::forward; });
    const auto backward = of([](const Site& site) { return site.pass == OpPass::backward; });
    const auto statistics = of([](const Site& site) { return site.op == "nearest_code"; });
    constexpr float kValues[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()};
    std::mt19937_64 random(test_seed());
    for (const bool everywhere : {true, false}) {
      int stopped = 0, traceless = 0, named = 0;
      for (int i = 0; i < 100; ++i) {
        const auto& kind = i < 50 ? backward : i < 90 ? forward : statistics;
        const Sabotage plan{
            .site = kind[random() % kind.size()], .value = kValues[random() % 2], .everywhere = everywhere};
        const Outcome outcome = try_out(plan, static_cast<std::int64_t>(1 + random() % 3));
        stopped += outcome.stopped;
        traceless += outcome.traceless;
        named += outcome.named;
      }
      CHECK(named == 100);
      // A single bad gradient may meet a ReLU that is off, which lets nothing of it through.
      CHECK(stopped + traceless == 100);
      CHECK(stopped >= (everywhere ? 100 : 85));
    }
  }

  TEST_CASE("looking for what went wrong changes nothing, and finds nothing where all is well") {
    Trainee trainee;
    for (std::int64_t step = 0; step < 2; ++step) REQUIRE(trainee.run(step).is_good());
    const auto before = trainee.state();
    CHECK_FALSE(trainee.look(2).has_value());
    CHECK(trainee.state() == before);
    CHECK(trainee.run(2).is_good());
    CHECK(trainee.state() != before);
  }
}

}  // namespace
}  // namespace gesso
