#include "ops/loss.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "core/tape.h"
#include "ops/cross_entropy.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

constexpr DeviceKind kKinds[] = {DeviceKind::cpu, DeviceKind::reference};

Tensor vector_of(const std::vector<float>& values, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<float>(values, {static_cast<std::int64_t>(values.size())}, device(kind));
}
Tensor indices_of(const std::vector<std::int32_t>& values, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<std::int32_t>(values, {static_cast<std::int64_t>(values.size())}, device(kind));
}
float value_of(const Tensor& loss) { return loss.to_host<float>()[0]; }

using Loss = Tensor (*)(const Tensor& x, const Tensor& target);
constexpr Loss kLosses[] = {ops::mse,
                            ops::l1,
                            [](const Tensor& x, const Tensor& target) { return ops::huber(x, target, {.delta = 0.7}); },
                            ops::binary_cross_entropy_with_logits,
                            [](const Tensor& x, const Tensor&) { return ops::hinge(x); },
                            [](const Tensor& x, const Tensor&) { return ops::hinge(x, {.real = false}); },
                            ops::gaussian_kl};

std::vector<float> gradient(Loss loss, const Tensor& x, const Tensor& target, const Tensor& to) {
  Tape tape;
  tape.watch(x);
  tape.watch(target);
  const Tensor y = loss(x, target);
  const Tensor one = Tensor::from_host<float>(std::array{1.0f}, {}, x.device());
  return tape.backward(std::array{y}, std::array{one}, std::array{to})[0].to_host<float>();
}

}  // namespace

TEST_SUITE("loss") {
  // The table measures a gradient of 1 / n against 1: in a long vector it would not see a single wrong element.
  TEST_CASE("in a vector of several chunks each element has the gradient that the reference gives it") {
    constexpr std::size_t kCount = 40001;
    std::vector<float> x(kCount), target(kCount);
    for (std::uint32_t i = 0; i < kCount; ++i) {
      const Words words = random_words(3, 0, 0, i);
      x[i] = normals(words).value[0];
      target[i] = uniform_half_open(words.word[2]);
    }
    for (const Loss loss : kLosses)
      for (const bool second : {false, true}) {
        std::vector<float> both[2];
        for (const std::size_t k : {0u, 1u}) {
          const Tensor a = vector_of(x, kKinds[k]), b = vector_of(target, kKinds[k]);
          both[k] = gradient(loss, a, b, second ? b : a);
        }
        for (std::size_t i = 0; i < kCount; ++i)
          REQUIRE(both[0][i] * kCount == doctest::Approx(both[1][i] * kCount).epsilon(2e-6));
      }
  }

  TEST_CASE("losses by hand") {
    for (const DeviceKind kind : kKinds) {
      const Tensor x = vector_of({0, 3, -1, 0.5f}, kind), target = vector_of({0, 1, 0, 0}, kind);
      CHECK(value_of(ops::mse(x, target)) == doctest::Approx((4 + 1 + 0.25) / 4));
      CHECK(value_of(ops::l1(x, target)) == doctest::Approx((2 + 1 + 0.5) / 4));
      CHECK(value_of(ops::huber(x, target)) == doctest::Approx((1.5 + 0.5 + 0.125) / 4));
      CHECK(value_of(ops::hinge(x)) == doctest::Approx((1 + 0 + 2 + 0.5) / 4));
      CHECK(value_of(ops::hinge(x, {.real = false})) == doctest::Approx((1 + 4 + 0 + 1.5) / 4));
      CHECK(gradient(ops::l1, x, target, x) == std::vector<float>{0, 0.25f, -0.25f, 0.25f});
    }
  }

  TEST_CASE("binary cross entropy of huge logits is finite and keeps what is small") {
    for (const DeviceKind kind : kKinds) {
      const auto loss = [&](float x, float target) {
        return value_of(ops::binary_cross_entropy_with_logits(vector_of({x}, kind), vector_of({target}, kind)));
      };
      CHECK(loss(1e4f, 0) == 1e4f);
      CHECK(loss(-1e4f, 1) == 1e4f);
      CHECK(loss(1e4f, 1) == 0);
      CHECK(loss(0, 0.3f) == doctest::Approx(std::log(2.0)));
      CHECK(loss(-20, 0) == doctest::Approx(std::exp(-20.0)).epsilon(1e-5));  // 1 + e^-20 is 1 in float
    }
  }

  TEST_CASE("the Gaussian KL sums over a sample, and limits logvar to [-30, 20] where its gradient ends") {
    for (const DeviceKind kind : kKinds) {
      const Tensor mean = Tensor::from_host<float>(std::array{1.0f, 2.0f, 0.0f, 0.0f}, {2, 2}, device(kind));
      const Tensor zeros = Tensor::zeros({{2, 2}, DType::f32}, device(kind));
      CHECK(value_of(ops::gaussian_kl(mean, zeros)) == doctest::Approx((1 + 4) / 2.0 / 2));
      const Tensor no_mean = vector_of({0, 0, 0}, kind), extreme = vector_of({-100, 50, 20}, kind);
      CHECK(value_of(ops::gaussian_kl(no_mean, extreme)) ==
            doctest::Approx((std::exp(-30.0) - 1 + 30 + 2 * (std::exp(20.0) - 21)) / 2 / 3));
      const std::vector<float> slope = gradient(ops::gaussian_kl, no_mean, extreme, extreme);
      CHECK(slope[0] == 0);
      CHECK(slope[1] == 0);
      CHECK(slope[2] == doctest::Approx((std::exp(20.0) - 1) / 2 / 3));
    }
  }

  TEST_CASE("a value that is not a number stays visible in every loss, and where it stands in the gradient") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const DeviceKind kind : kKinds) {
      const Tensor bad = vector_of({0.5f, nan, 0.5f}, kind), good = vector_of({0.5f, 0.5f, 0.5f}, kind);
      const auto check = [&](const std::vector<float>& slope) {
        CHECK_FALSE(std::isnan(slope[0]));
        CHECK(std::isnan(slope[1]));
        CHECK_FALSE(std::isnan(slope[2]));
      };
      for (const Loss loss : kLosses) {
        CHECK(std::isnan(value_of(loss(bad, good))));
        check(gradient(loss, bad, good, bad));
      }
      for (const Loss loss : {ops::mse, ops::l1, ops::gaussian_kl}) {
        CHECK(std::isnan(value_of(loss(good, bad))));
        check(gradient(loss, good, bad, bad));
      }
    }
  }

  TEST_CASE("an index without a class is an error that names it and its place") {
    for (const DeviceKind kind : kKinds)
      for (const std::int32_t bad : {3, -1})
        expect_error(
            ErrorKind::data,
            {fmt::format("cross_entropy: index {} at position 1 of [2] i32 does not lie in [0, 3)", bad)}, [&] {
              ops::cross_entropy(Tensor::zeros({{2, 3}, DType::f32}, device(kind)), indices_of({2, bad}, kind));
            });
  }

  TEST_CASE("cross entropy of huge logits neither overflows nor loses the small ones") {
    for (const DeviceKind kind : kKinds) {
      const Tensor logits = Tensor::from_host<float>(std::array{1e4f, 1e4f, -1e4f}, {1, 3}, device(kind));
      CHECK(value_of(ops::cross_entropy(logits, indices_of({1}, kind))) == doctest::Approx(std::log(2.0)));
      CHECK(value_of(ops::cross_entropy(logits, indices_of({2}, kind))) == doctest::Approx(2e4 + std::log(2.0)));
      CHECK(value_of(ops::cross_entropy(logits, indices_of({1}, kind), {.label_smoothing = 0.3})) ==
            doctest::Approx(std::log(2.0) + 0.1 * 2e4));
    }
  }

  TEST_CASE("a class that is ruled out by a logit of minus infinity costs nothing") {
    for (const DeviceKind kind : kKinds) {
      const float none = -std::numeric_limits<float>::infinity();
      const Tensor logits = Tensor::from_host<float>(std::array{1.0f, none, 1.0f}, {1, 3}, device(kind));
      CHECK(value_of(ops::cross_entropy(logits, indices_of({2}, kind))) == doctest::Approx(std::log(2.0)));
    }
  }
}

}  // namespace gesso
