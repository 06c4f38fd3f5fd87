// Steps whose loss or gradient norm is far above those before: found, and what becomes of them.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "tests/step_stream.h"
#include "tests/support.h"

namespace gesso {
namespace {

using ops::StepVerdict;

constexpr std::int64_t kWindow = nn::StepGate::kWindow;

// How many of so many steps are taken for spikes; next(step) draws a loss, and anew a norm.
template <class Next>
int spikes_in(std::int64_t steps, Next&& next) {
  StepStream stream({.policy = nn::SpikePolicy::log});
  int spikes = 0;
  for (std::int64_t i = 0; i < steps; ++i) {
    const double loss = next(i), norm = next(i);
    spikes += stream.verdict(loss, norm) == StepVerdict::spike;
  }
  return spikes;
}

TEST_SUITE("spikes") {
  TEST_CASE("noise is hardly ever taken for a spike") {
    std::mt19937_64 random(test_seed());
    std::normal_distribution<double> normal;
    std::exponential_distribution<double> exponential;
    constexpr std::int64_t kSteps = 20'000;
    const int of_normal = spikes_in(kSteps, [&](std::int64_t) { return 1 + 0.2 * normal(random); });
    const int of_falling = spikes_in(kSteps, [&](std::int64_t step) {
      return (0.1 + std::exp(-static_cast<double>(step) / 2000)) * (1 + 0.05 * normal(random));
    });
    const int of_skewed = spikes_in(kSteps, [&](std::int64_t) { return std::exp(0.3 * normal(random)); });
    const int of_heavy =
        spikes_in(kSteps, [&](std::int64_t) { return 1 + 0.1 * exponential(random) * (random() % 2 == 0 ? 1 : -1); });
    MESSAGE("of 20000 steps: normal ", of_normal, ", falling ", of_falling, ", log-normal ", of_skewed,
            ", two-sided exponential ", of_heavy);
    CHECK(of_normal == 0);
    CHECK(of_falling == 0);
    CHECK(of_skewed <= 10);
    CHECK(of_heavy <= 20);
  }

  TEST_CASE("a loss or a norm far above those before is a spike, also where the first ones were huge") {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 100; ++i) {
      StepStream stream({});
      for (const double huge : {1e30, 1e20, 1e10}) (void)stream.feed(huge, huge);
      stream.fill(kWindow + static_cast<std::int64_t>(random() % 300));
      const double times = 2.5 + static_cast<double>(random() % 100);
      const bool of_loss = random() % 2 == 0;
      CHECK(stream.verdict(of_loss ? times : 1, of_loss ? 1 : times) == StepVerdict::skipped);
      CHECK_FALSE(stream.is_open());
      CHECK(stream.verdict(1.05, 0.95) == StepVerdict::passed);
      CHECK(stream.is_open());
    }
  }

  TEST_CASE("nothing is a spike before a window of steps is known, nor what is low, nor small changes of a constant") {
    StepStream stream({});
    for (std::int64_t i = 0; i < kWindow; ++i) {
      const nn::StepDecision decision = stream.feed(i == kWindow / 2 ? 1e6 : 1, 1);
      CHECK(decision.verdict == StepVerdict::passed);
      CHECK(decision.steps_known == i);
      CHECK(decision.loss_limit == 0);
    }
    const nn::StepDecision decision = stream.feed(1.4, 1.4);
    CHECK(decision.verdict == StepVerdict::passed);
    CHECK(decision.loss_limit == doctest::Approx(1.5));
    CHECK(stream.verdict(-1e9, 0) == StepVerdict::passed);
    CHECK(stream.verdict(1.6, 1) == StepVerdict::skipped);
  }

  TEST_CASE("so many spikes are skipped in a row, and one more closes the gate for good") {
    StepStream stream({.skips_in_row = 3});
    stream.fill(kWindow);
    for (int i = 0; i < 3; ++i) CHECK(stream.verdict(9, 1) == StepVerdict::skipped);
    CHECK(stream.verdict(1, 1) == StepVerdict::passed);
    for (int i = 0; i < 3; ++i) CHECK(stream.verdict(1, 9) == StepVerdict::skipped);
    CHECK(stream.verdict(9, 1) == StepVerdict::too_many);
    for (int i = 0; i < 3; ++i) {
      CHECK(stream.verdict(1, 1) == StepVerdict::too_many);
      CHECK_FALSE(stream.is_open());
    }
  }

  TEST_CASE("so many spikes are skipped of a window of steps, wherever in the ring it begins") {
    for (const std::int64_t before : {kWindow, kWindow + 77}) {
      StepStream stream({.skips_in_window = 5});
      stream.fill(before);
      for (int i = 0; i < 5; ++i) {
        CHECK(stream.verdict(9, 1) == StepVerdict::skipped);
        stream.fill(9);
      }
      stream.fill(kWindow - 50);
      CHECK(stream.steps() == before + kWindow);
      CHECK(stream.verdict(9, 1) == StepVerdict::skipped);  // the first of the five is out of the window
      stream.fill(8);
      CHECK(stream.verdict(9, 1) == StepVerdict::too_many);
    }
  }

  TEST_CASE("where spikes are only logged they change nothing, and a new level is taken for granted in half a window") {
    StepStream stream({.policy = nn::SpikePolicy::log});
    stream.fill(kWindow);
    int spikes = 0;
    for (int i = 0; i < 2 * kWindow; ++i) {
      spikes += stream.verdict(5 + 0.1 * std::sin(i), 1) == StepVerdict::spike;
      CHECK(stream.is_open());
    }
    CHECK(spikes <= kWindow / 2 + 1);
    CHECK(spikes >= kWindow / 4);
  }

  TEST_CASE("skips of zero stop at the first spike, and what is not finite stops whatever the policy") {
    StepStream strict({.skips_in_row = 0}), lax({.policy = nn::SpikePolicy::log});
    for (StepStream* stream : {&strict, &lax}) stream->fill(kWindow);
    CHECK(strict.verdict(9, 1) == StepVerdict::too_many);
    CHECK(lax.verdict(9, 1) == StepVerdict::spike);
    CHECK(lax.verdict(std::nan(""), 1) == StepVerdict::not_finite);
    CHECK(lax.verdict(1, 1) == StepVerdict::not_finite);
  }
}

}  // namespace
}  // namespace gesso
