// What a device with kernels promises: the noise of the CPU, gradients that are joined there, memory.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "core/tape.h"
#include "ops/dropout.h"
#include "ops/random.h"
#include "ops/unary.h"
#include "ops/variance.h"
#include "tests/support.h"

namespace gesso {
namespace {

Device& tested() { return device(test_device()); }
Tensor vector_of(const std::vector<float>& values) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size())}, tested());
}

TEST_SUITE("device") {
  TEST_CASE("gradients of two uses are joined on the device") {
    Tape tape;
    const Tensor x = vector_of({1, -2, 3, -4, 5});
    tape.watch(x);
    const Tensor y = ops::square(x), z = ops::neg(x);
    const Tensor ones = vector_of({1, 1, 1, 1, 1});
    const std::vector<Tensor> seeds{y, z}, dy{ones, ones};
    CHECK(tape.backward(seeds, dy, std::vector<Tensor>{x})[0].to_host<float>() == std::vector<float>{1, -5, 5, -9, 9});
  }

  TEST_CASE("noise has the same bits as on the CPU") {
    constexpr std::int64_t kFirst = (std::int64_t{1} << 40) + 7;
    for (const Shape& shape : {Shape{3, 5, 7}, Shape{2, 64}, Shape{301, 1}, Shape{1, 4099}}) {
      CAPTURE(shape.text());
      const auto draw = [&](Device& device) {
        const Tensor step = Tensor::from_host<std::int64_t>(std::array{std::int64_t{123456}}, {1}, device);
        const Tensor ones =
            Tensor::from_host<float>(std::vector<float>(static_cast<std::size_t>(shape.count()), 1), shape, device);
        const Tensor t = Tensor::zeros({{shape[0]}, DType::i32}, device);
        const Tensor alpha_bar = Tensor::from_host<float>(std::array{0.3f}, {1}, device);
        const ops::RandomAttrs attrs{.shape = shape, .key = test_seed(), .first_sample = kFirst};
        const ops::Noised noised = ops::add_noise(ones, t, alpha_bar, step, {test_seed(), kFirst});
        return std::vector<std::vector<float>>{
            ops::uniform(step, attrs).to_host<float>(),
            ops::normal(step, attrs).to_host<float>(),
            ops::gumbel(step, attrs).to_host<float>(),
            ops::dropout(ones, step, {.rate = 0.3, .key = test_seed(), .first_sample = kFirst}).to_host<float>(),
            noised.x_t.to_host<float>(),
            noised.eps.to_host<float>()};
      };
      CHECK(draw(tested()) == draw(device(DeviceKind::cpu)));
    }
  }

  TEST_CASE("a timestep outside the schedule makes its sample no number") {
    const Tensor schedule = vector_of({0.5f, 0.9f, 0.8f, 0.5f}).part(1, {2});
    const Tensor t = Tensor::from_host<std::int32_t>(std::array{-1, 1, 2}, {3}, tested());
    const Tensor step = Tensor::from_host<std::int64_t>(std::array{std::int64_t{1}}, {1}, tested());
    const std::vector<float> x_t =
        ops::add_noise(vector_of({1, 1, 1}), t, schedule, step, {test_seed(), 0}).x_t.to_host<float>();
    CHECK(std::isnan(x_t[0]));
    CHECK(std::isfinite(x_t[1]));
    CHECK(std::isnan(x_t[2]));
  }

  TEST_CASE("the variance of equal numbers is not below 0") {
    constexpr std::int64_t kRows = 32, kColumns = 301;  // enough for the squares' sum to be rounded
    std::mt19937_64 random(test_seed());
    std::normal_distribution<float> normal;
    std::vector<float> values;
    for (std::int64_t row = 0; row < kRows; ++row) values.insert(values.end(), kColumns, normal(random));
    const Tensor x = Tensor::from_host<float>(values, {kRows, kColumns}, tested());
    for (const float variance : ops::var(x, {.axes = axes(1)}).to_host<float>()) CHECK(variance >= 0);
  }

  TEST_CASE("memory of the device is copied, filled and counted") {
    const Tensor x = vector_of({1, 2, 3}), y(x.spec(), tested());
    y.copy_from(x);
    CHECK(y.to_host<float>() == std::vector<float>{1, 2, 3});
    y.fill_zero();
    CHECK(y.to_host<float>() == std::vector<float>{0, 0, 0});
    CHECK(x.to_host<float>() == std::vector<float>{1, 2, 3});
  }
}

}  // namespace
}  // namespace gesso
