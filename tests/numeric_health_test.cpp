// Numbers that stop being finite: nothing is touched by them, and where they came from is named.
#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "tests/support.h"
#include "tests/trainee.h"

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

// The sites of a step that is not the first, up to the optimiser.
std::vector<Site> sites_of_a_step(std::int64_t micro_batches = 1) {
  Trainee trainee({.micro_batches = micro_batches});
  (void)trainee.run(0).read();
  Saboteur sites;
  (void)trainee.look(1);
  return sites.seen;
}

struct Outcome {
  bool stopped = false;    // nothing moved, in that step and the next
  bool traceless = false;  // both steps moved what they would have moved without
  bool named = false;
  std::string micro_batch = {};
};

Outcome try_out(const Sabotage& plan, std::int64_t step, std::int64_t micro_batches = 1) {
  Trainee trainee({.micro_batches = micro_batches}), clean({.micro_batches = micro_batches});
  for (std::int64_t before = 0; before < step; ++before) REQUIRE(passed(trainee.run(before)));
  for (std::int64_t before = 0; before <= step + 1; ++before) REQUIRE(passed(clean.run(before)));
  const auto good = trainee.state();
  Saboteur saboteur;
  saboteur.begin_step(plan);
  const bool is_good = passed(trainee.run(step));
  const auto after = trainee.state();
  saboteur.begin_step();
  const bool later_good = passed(trainee.run(step + 1));
  const auto later = trainee.state();
  saboteur.begin_step(plan);
  const std::optional<ResultStatistics> found = trainee.look(step);
  const Site& site = plan.site;
  return {.stopped = !is_good && !later_good && after == good && later == good,
          .traceless = is_good && later_good && later == clean.state(),
          .named = found && found->op == site.op && found->module == site.module && found->pass == site.pass,
          .micro_batch = found ? found->micro_batch : ""};
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

  TEST_CASE("so it is in any micro-batch, which is named, too") {
    constexpr std::int64_t kMicroBatches = 4;
    const std::vector<Site> all = sites_of_a_step(kMicroBatches);
    std::mt19937_64 random(test_seed());
    int stopped = 0;
    for (int i = 0; i < 40; ++i) {
      const Sabotage plan{
          .site = all[random() % all.size()], .value = std::numeric_limits<float>::quiet_NaN(), .everywhere = true};
      const Outcome outcome = try_out(plan, static_cast<std::int64_t>(1 + random() % 2), kMicroBatches);
      INFO(plan.site.op, " in ", plan.site.module, ", call ", plan.site.call);
      stopped += outcome.stopped;
      CHECK((outcome.stopped || outcome.traceless));
      CHECK(outcome.named);
      const std::int64_t quarter = plan.site.call * kMicroBatches / (all.back().call + 1);
      CHECK(outcome.micro_batch.ends_with(" of 4"));
      CHECK(std::abs(outcome.micro_batch[0] - '1' - quarter) <= 1);  // joining takes some calls more each time
    }
    CHECK(stopped >= 34);  // parts of the loss are averaged for the log alone
  }

  TEST_CASE("looking for what went wrong changes nothing, and finds nothing where all is well") {
    Trainee trainee;
    for (std::int64_t step = 0; step < 2; ++step) REQUIRE(passed(trainee.run(step)));
    const auto before = trainee.state();
    CHECK_FALSE(trainee.look(2).has_value());
    CHECK(trainee.state() == before);
    CHECK(passed(trainee.run(2)));
    CHECK(trainee.state() != before);
  }
}

}  // namespace
}  // namespace gesso
