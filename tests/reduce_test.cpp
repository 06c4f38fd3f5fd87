#include "ops/reduce.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ops/binary.h"
#include "ops/extreme.h"
#include "ops/variance.h"

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
    for (const Tensor& y : {ops::max(x), ops::argmax(x), ops::argmin(x)}) CHECK(y.shape() == Shape{});
  }

  TEST_CASE("the variance of numbers far from zero keeps its digits") {
    std::vector<float> values;  // 10000 and 10001 in turn: E[x^2] - E[x]^2 would lose all
    for (int i = 0; i < 40000; ++i) values.push_back(1e4f + static_cast<float>(i % 2));
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      const Tensor x = Tensor::from_host<float>(values, {200, 200}, device(kind));
      CHECK(ops::var(x, {.axes = axes(0, 1), .correction = 0}).to_host<float>()[0] == 0.25f);
      CHECK(ops::var(x, {.axes = axes(0, 1)}).to_host<float>()[0] == doctest::Approx(0.25 * 40000 / 39999));
      for (const float row : ops::var(x, {.axes = axes(1), .correction = 0}).to_host<float>()) REQUIRE(row == 0.25f);
      for (const float column : ops::var(x, {.axes = axes(0), .correction = 0}).to_host<float>()) REQUIRE(column == 0);
    }
  }

  TEST_CASE("max and argmax find the first of equal ones and the first NaN, wherever it lies") {
    constexpr std::int64_t kCount = 40007;  // three chunks and a piece of a vector
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      for (const std::int64_t place : {0, 5, 16383, 16384, 39999, 40006}) {
        std::vector<float> values(kCount, -1.0f);
        const auto at = static_cast<std::size_t>(place);
        values[at] = values.back() = 2;
        // In one row, and as a column of three.
        for (const std::int64_t columns : {1, 3}) {
          const Tensor row = Tensor::from_host<float>(values, {kCount, 1}, device(kind));
          const Tensor x =
              ops::mul(row, Tensor::from_host<float>(std::vector<float>(3, 1.0f), {3}, device(kind)).slice(0, columns));
          for (const std::int32_t index : ops::argmax(x, {.axes = axes(0)}).to_host<std::int32_t>())
            CHECK(index == place);
          for (const float largest : ops::max(x, {.axes = axes(0)}).to_host<float>()) CHECK(largest == 2);
        }
        values[at] = std::numeric_limits<float>::quiet_NaN();
        const Tensor x = Tensor::from_host<float>(values, {kCount}, device(kind));
        CHECK(ops::argmax(x).to_host<std::int32_t>()[0] == place);
        CHECK(std::isnan(ops::max(x).to_host<float>()[0]));
        CHECK(ops::argmin(x).to_host<std::int32_t>()[0] == place);
      }
  }
}

}  // namespace gesso
