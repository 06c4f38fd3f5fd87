// What the kernels of the emulated device ask for, on its dry one and in a recorded step.
#include <doctest/doctest.h>

#include "ops/check/checks.h"
#include "ops/op_list.h"
#include "tests/measured_memory.h"
#include "tests/support.h"

namespace gesso {
namespace {

TEST_SUITE("device memory") {
  TEST_CASE("kernels of the emulated device are launched on its dry one, and none runs") {
    Device& emulated = device(DeviceKind::emulated);
    const auto dry = emulated.dry();
    for (const char* name : {"conv2d", "group_norm", "mse", "embedding", "nearest_code", "adamw"}) {
      const RowInfo& row = row_named(name);
      const check::CheckCase c = check::cases_of(row, {.seed = test_seed(), .random_cases = 0}).front();
      INFO(name);
      CHECK(peak_of(row, c, *dry, idle_pool()) == peak_of(row, c, emulated, thread_pool()));
    }
  }

  TEST_CASE("on a device that records its steps the prediction lies within five percent") {
    PlannedRecipe planned("vqvae-shapes", {"train.batch=2", "data.size=8", "model.hidden=8", "model.codes=16"});
    Device& emulated = device(DeviceKind::emulated);
    const PredictedMemory guess = predicted(planned.recipe(), emulated);
    const MemoryStatistics truth = measured(planned.recipe(), emulated);
    MESSAGE("predicted ", guess.peak_bytes, ", measured ", truth.peak_bytes);
    CHECK(static_cast<double>(guess.peak_bytes) ==
          doctest::Approx(static_cast<double>(truth.peak_bytes)).epsilon(0.05));
  }
}

}  // namespace
}  // namespace gesso
