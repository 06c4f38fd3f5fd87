// What the op table cannot ask of kernels that read or write indices: the CPU's very choices, and indices that no
// kernel can refuse.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/nearest_code.h"
#include "tests/support.h"

namespace gesso {
namespace {

Device& emulated() { return device(DeviceKind::emulated); }

template <class T>
Tensor on(Device& where, const std::vector<T>& values, const Shape& shape) {
  return Tensor::from_host<T>(values, shape, where);
}

bool all_nan(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float v) { return std::isnan(v); });
}

TEST_SUITE("emulated codes") {
  TEST_CASE("vectors choose the codes that they choose on the CPU, those that are no numbers too") {
    constexpr std::int64_t kVectors = 300, kCodes = 200, kWidth = 33;
    std::mt19937_64 random(test_seed());
    std::normal_distribution<float> normal;
    std::vector<float> z(kVectors * kWidth), codebook(kCodes * kWidth);
    for (float& v : z) v = normal(random);
    for (float& v : codebook) v = normal(random);
    z[0] = std::numeric_limits<float>::quiet_NaN();
    z[kWidth] = std::numeric_limits<float>::infinity();
    const auto choose = [&](Device& where) {
      return ops::nearest_code(on(where, z, {kVectors, kWidth}), on(where, codebook, {kCodes, kWidth}));
    };
    const ops::NearestCode here = choose(device(DeviceKind::cpu)), there = choose(emulated());
    CHECK(there.index.to_host<std::int32_t>() == here.index.to_host<std::int32_t>());
    CHECK(there.index.to_host<std::int32_t>()[0] == 0);
    CHECK(there.counts.to_host<float>() == here.counts.to_host<float>());
  }

  TEST_CASE("an index outside gives a row that is no number") {
    const Tensor weight = on<float>(emulated(), {1, 2, 3, 4}, {2, 2});
    const Tensor index = on<std::int32_t>(emulated(), {1, 2, -1, 0}, {4});
    const std::vector<float> rows = ops::embedding(weight, index).to_host<float>();
    CHECK(rows[0] == 3);
    CHECK(rows[1] == 4);
    CHECK(all_nan({rows.begin() + 2, rows.begin() + 6}));
    CHECK(rows[6] == 1);
  }

  TEST_CASE("a sum by indices of which one lies outside is no number") {
    const Tensor x = on<float>(emulated(), {1, 2, 3}, {3});
    const auto sums = [&](const std::vector<std::int32_t>& index) {
      return ops::scatter_add(x, on(emulated(), index, {3}), {.axis = 0, .size = 2}).to_host<float>();
    };
    CHECK(sums({1, 1, 0}) == std::vector<float>{3, 3});
    CHECK(all_nan(sums({1, 2, 0})));
    CHECK(all_nan(sums({1, 0, -1})));
    CHECK(all_nan(sums({1, 0, -7})));
  }

  // In one row of three an index just outside would meet a number of its neighbour.
  TEST_CASE("an index just outside meets no neighbour's number") {
    const Tensor x = on<float>(emulated(), {1, 2, 3, 4, 5, 6}, {3, 2});
    for (const std::int32_t bad : {-1, 2}) {
      const std::vector<float> y = ops::gather(x, on<std::int32_t>(emulated(), {bad, 1}, {2}), 1).to_host<float>();
      CHECK(all_nan({y[0], y[2], y[4]}));
      CHECK(std::vector<float>{y[1], y[3], y[5]} == std::vector<float>{2, 4, 6});
    }
  }

  TEST_CASE("the loss of a label outside is no number") {
    const Tensor logits = on<float>(emulated(), {1, 2, 3, 4, 5, 6}, {3, 2});
    const auto loss = [&](std::int32_t label) {
      return ops::cross_entropy(logits, on<std::int32_t>(emulated(), {0, label, 1}, {3}), {}).to_host<float>()[0];
    };
    CHECK(std::isfinite(loss(0)));
    CHECK(std::isfinite(loss(1)));
    CHECK(std::isnan(loss(-1)));
    CHECK(std::isnan(loss(2)));
  }
}

}  // namespace
}  // namespace gesso
