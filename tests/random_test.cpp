#include "ops/random.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "core/rng.h"
#include "ops/binary.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

Tensor step(std::int64_t value, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<std::int64_t>(std::array{value}, {1}, device(kind));
}

using Draw = Tensor (*)(const Tensor& step, const ops::RandomAttrs& attrs);
constexpr Draw kDraws[] = {ops::uniform, ops::normal, ops::gumbel};

std::vector<float> joined(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_SUITE("random") {
  TEST_CASE("a batch drawn in two parts holds the same bits, on every instruction set and device") {
    const Isa before = isa();
    for (const Draw draw : kDraws) {
      const auto whole = draw(step(41), {.shape = {5, 3, 37}, .key = 9, .first_sample = 4}).to_host<float>();
      for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
        for (const Isa with : supported_isas()) {
          set_isa(with);
          const auto first = draw(step(41, kind), {.shape = {2, 3, 37}, .key = 9, .first_sample = 4});
          const auto second = draw(step(41, kind), {.shape = {3, 3, 37}, .key = 9, .first_sample = 6});
          CHECK(joined(first.to_host<float>(), second.to_host<float>()) == whole);
        }
    }
    set_isa(before);
  }

  TEST_CASE("another step, key or sample draws other numbers") {
    for (const Draw draw : kDraws) {
      const ops::RandomAttrs attrs{.shape = {1, 8}, .key = 9, .first_sample = 4};
      const auto drawn = draw(step(41), attrs).to_host<float>();
      CHECK(draw(step(42), attrs).to_host<float>() != drawn);
      CHECK(draw(step(41), {.shape = {1, 8}, .key = 10, .first_sample = 4}).to_host<float>() != drawn);
      CHECK(draw(step(41), {.shape = {1, 8}, .key = 9, .first_sample = 5}).to_host<float>() != drawn);
    }
  }

  TEST_CASE("dropout of a batch in two parts drops the same elements") {
    Device& cpu = device(DeviceKind::cpu);
    const Tensor x = Tensor::from_host<float>(std::vector<float>(6 * 37, 1.0f), {6, 37}, cpu);
    const auto whole = ops::dropout(x, step(3), {.rate = 0.4, .key = 9}).to_host<float>();
    const auto first = ops::dropout(x.slice(0, 2), step(3), {.rate = 0.4, .key = 9}).to_host<float>();
    const auto second = ops::dropout(x.slice(2, 6), step(3), {.rate = 0.4, .key = 9, .first_sample = 2});
    CHECK(joined(first, second.to_host<float>()) == whole);
  }

  TEST_CASE("moments and rates come out as they should") {
    const ops::RandomAttrs attrs{.shape = {100, 1000}, .key = 77};
    // Mean and variance; a Gumbel's are Euler's constant and pi^2 / 6.
    const double expected[][2] = {{0.5, 1.0 / 12}, {0, 1}, {0.57721566, 1.64493407}};
    for (std::size_t d = 0; d < std::size(kDraws); ++d) {
      double sum = 0, squares = 0;
      for (const float v : kDraws[d](step(0), attrs).to_host<float>()) sum += v, squares += static_cast<double>(v) * v;
      const double mean = sum / 1e5, variance = squares / 1e5 - mean * mean;
      CHECK(std::abs(mean - expected[d][0]) < 5 * std::sqrt(expected[d][1] / 1e5));
      CHECK(std::abs(variance / expected[d][1] - 1) < 0.03);
    }
    const Tensor ones =
        Tensor::from_host<float>(std::vector<float>(100000, 1.0f), {100, 1000}, device(DeviceKind::cpu));
    int dropped = 0;
    for (const float v : ops::dropout(ones, step(0), {.rate = 0.3, .key = 5}).to_host<float>()) {
      REQUIRE((v == 0 || v == static_cast<float>(1 / 0.7)));
      dropped += v == 0;
    }
    CHECK(std::abs(dropped / 1e5 - 0.3) < 0.01);
  }

  TEST_CASE("the extremes of a Gumbel are finite, and the large ones are drawn finely") {
    CHECK(gumbel(0) == doctest::Approx(32 * std::log(2.0)));  // u = 2^-32
    CHECK(gumbel(2) == doctest::Approx(-std::log(1.5 * 0x1p-31)));
    CHECK(gumbel(~0u) == doctest::Approx(-std::log(24 * std::log(2.0))));  // 1 - u = 2^-24
    CHECK(gumbel(0x7FFFFFFF) == doctest::Approx(-std::log(std::log(2.0))));
  }

  TEST_CASE("the largest of logits plus Gumbels is drawn as softmax says") {
    const double probabilities[] = {0.1, 0.6, 0.3};
    const auto noise = ops::gumbel(step(0), {.shape = {20000, 3}, .key = 6}).to_host<float>();
    std::array<int, 3> drawn{};
    for (std::size_t n = 0; n < 20000; ++n) {
      std::size_t best = 0;
      const auto score = [&](std::size_t k) {
        return std::log(probabilities[k]) + static_cast<double>(noise[3 * n + k]);
      };
      for (const std::size_t k : {1u, 2u}) best = score(k) > score(best) ? k : best;
      ++drawn[best];
    }
    for (const std::size_t k : {0u, 1u, 2u}) CHECK(std::abs(drawn[k] / 2e4 - probabilities[k]) < 0.02);
  }

  TEST_CASE("noised images hold the bits of normal, mul and add, whole or in parts") {
    const Isa before = isa();
    Device& cpu = device(DeviceKind::cpu);
    const Tensor x = ops::normal(step(1), {.shape = {3, 5, 7}, .key = 2});
    const Tensor t = Tensor::from_host<std::int32_t>(std::array{2, 0, 1}, {3}, cpu);
    const Tensor alpha_bar = Tensor::from_host<float>(std::array{0.9999f, 0.37f, 4.035829e-5f}, {3}, cpu);
    const auto column = [&](auto f) {
      return Tensor::from_host<float>(std::array{f(4.035829e-5f), f(0.9999f), f(0.37f)}, {3, 1, 1}, cpu);
    };
    for (const Isa with : supported_isas()) {
      set_isa(with);
      const ops::Noised noised = ops::add_noise(x, t, alpha_bar, step(8), {.key = 9, .first_sample = 4});
      const Tensor eps = ops::normal(step(8), {.shape = x.shape(), .key = 9, .first_sample = 4});
      const Tensor x_t = ops::add(ops::mul(column([](float a) { return std::sqrt(a); }), x),
                                  ops::mul(column([](float a) { return std::sqrt(1 - a); }), eps));
      CHECK(noised.eps.to_host<float>() == eps.to_host<float>());
      CHECK(noised.x_t.to_host<float>() == x_t.to_host<float>());
      const ops::Noised first =
          ops::add_noise(x.slice(0, 2), t.slice(0, 2), alpha_bar, step(8), {.key = 9, .first_sample = 4});
      const ops::Noised last =
          ops::add_noise(x.slice(2, 3), t.slice(2, 3), alpha_bar, step(8), {.key = 9, .first_sample = 6});
      CHECK(joined(first.x_t.to_host<float>(), last.x_t.to_host<float>()) == x_t.to_host<float>());
    }
    set_isa(before);
  }

  TEST_CASE("a timestep outside the schedule, and a schedule that is none, are errors that name them") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference}) {
      const auto noise = [&](std::int32_t t, float alpha_bar) {
        ops::add_noise(Tensor::zeros({{2, 3}, DType::f32}, device(kind)),
                       Tensor::from_host<std::int32_t>(std::array{0, t}, {2}, device(kind)),
                       Tensor::from_host<float>(std::array{0.5f, 0.4f, alpha_bar}, {3}, device(kind)), step(0, kind),
                       {});
      };
      for (const std::int32_t t : {3, -1})
        expect_error(ErrorKind::data, {"add_noise: t: index", fmt::format("{} at position 1 of [2] i32", t), "[0, 3)"},
                     [&] { noise(t, 0.3f); });
      for (const float bad : {1.5f, -0.5f, std::nanf("")})
        expect_error(ErrorKind::data, {"add_noise: alpha_bar of t = 2", "[0, 1]", fmt::format("{}", bad)},
                     [&] { noise(2, bad); });
    }
  }

  TEST_CASE("a negative step is an error") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      expect_error(ErrorKind::usage, {"normal: step -1", "[0, 2^48)"},
                   [&] { ops::normal(step(-1, kind), {.shape = {3}}); });
  }
}

TEST_SUITE("embedding") {
  TEST_CASE("an index without a row is an error that names it and its place") {
    for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::reference})
      expect_error(ErrorKind::data, {"embedding: index 4 at position 2 of [3] i32 does not lie in [0, 4)"}, [&] {
        ops::embedding(Tensor::zeros({{4, 5}, DType::f32}, device(kind)),
                       Tensor::from_host<std::int32_t>(std::array{0, 3, 4}, {3}, device(kind)));
      });
  }
}

}  // namespace gesso
