#include "ops/reduce.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace gesso {

TEST_SUITE("reduce") {
  TEST_CASE("a sum of a million tenths keeps all digits of a float") {
    const std::vector<float> tenths(1 << 20, 0.1f);
    const double exact = static_cast<double>(0.1f) * (1 << 20);
    const Tensor x = Tensor::from_host<float>(tenths, {1 << 10, 1 << 10}, device(DeviceKind::cpu));
    CHECK(ops::sum(x).to_host<float>()[0] == static_cast<float>(exact));
    CHECK(ops::mean(x).to_host<float>()[0] == 0.1f);
    for (const float row : ops::sum(x, {.axes = axes(0)}).to_host<float>())
      REQUIRE(row == static_cast<float>(exact / 1024));
    for (const float row : ops::sum(x, {.axes = axes(1)}).to_host<float>())
      REQUIRE(row == static_cast<float>(exact / 1024));
  }

  TEST_CASE("a sum over all axes is a scalar") {
    const Tensor x = Tensor::zeros({{2, 3}, DType::f32}, device(DeviceKind::cpu));
    CHECK(ops::sum(x).shape() == Shape{});
    CHECK(ops::mean(x, {.axes = axes(0), .keep_dims = true}).shape() == Shape{1, 3});
  }
}

}  // namespace gesso
