// Spikes, judged by a device's kernel.
#include <doctest/doctest.h>

#include <random>

#include "tests/step_stream.h"
#include "tests/support.h"

namespace gesso {
namespace {

TEST_SUITE("device spikes") {
  TEST_CASE("a device decides as the CPU does") {
    std::mt19937_64 random(test_seed());
    const nn::SpikeOptions spikes{.skips_in_row = 2, .skips_in_window = 4};
    StepStream cpu(spikes), other(spikes, test_device());
    for (std::int64_t i = 0; i < 2 * nn::StepGate::kWindow; ++i) {
      const double noise = 0.01 * static_cast<double>(random() % 20);
      const double loss = i > nn::StepGate::kWindow && random() % 40 == 0 ? 9 : 1 + noise;
      const nn::StepDecision want = cpu.feed(loss, 1 + noise), got = other.feed(loss, 1 + noise);
      CHECK(got.verdict == want.verdict);
      CHECK(got.steps_known == want.steps_known);
      CHECK(got.loss_limit == doctest::Approx(want.loss_limit));
      CHECK(other.is_open() == cpu.is_open());
    }
  }
}

}  // namespace
}  // namespace gesso
