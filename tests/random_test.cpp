#include "ops/random.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include "ops/embedding.h"
#include "tests/expect_error.h"

namespace gesso {
namespace {

Tensor step(std::int64_t value, DeviceKind kind = DeviceKind::cpu) {
  return Tensor::from_host<std::int64_t>(std::array{value}, {1}, device(kind));
}

using Draw = Tensor (*)(const Tensor& step, const ops::RandomAttrs& attrs);
constexpr Draw kDraws[] = {ops::uniform, ops::normal};

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
    const double expected[][2] = {{0.5, 1.0 / 12}, {0, 1}};  // mean, variance
    for (std::size_t d = 0; d < 2; ++d) {
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
