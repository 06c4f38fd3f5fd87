// What the op table cannot ask of attention: that a token which is not seen has no influence, even where it is NaN.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "core/tape.h"
#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/reduce.h"
#include "tests/support.h"

namespace gesso {
namespace {

// More tokens than a tile, heads that vectors do not fill.
constexpr std::int64_t kTokens = 75, kHeads = 2, kHeadDim = 5, kWidth = kHeads * kHeadDim;

struct Passes {
  std::vector<float> y, dqkv;  // [T,heads,head_dim], [T,3,heads,head_dim]
};
Passes causal_attention(const std::vector<float>& values, const std::vector<float>& dy) {
  Device& tested = device(test_device());
  const Tensor qkv = Tensor::from_host<float>(values, {1, kTokens, 3 * kWidth}, tested);
  const Tensor gradient(qkv.spec(), tested);
  Tape tape;
  tape.watch(qkv, gradient);
  const Tensor y = ops::attention(qkv, {.heads = kHeads, .causal = true}).y;
  tape.backward(ops::sum(ops::mul(y, Tensor::from_host<float>(dy, y.shape(), tested))));
  return {y.to_host<float>(), gradient.to_host<float>()};
}

std::vector<float> random_values(std::int64_t count) {
  static std::mt19937_64 random(test_seed());
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

// Of [T,parts,heads*head_dim]: one token's part. 0: queries, 1: keys, 2: values.
std::span<float> row_of(std::vector<float>& values, std::int64_t token, std::int64_t part, std::int64_t parts = 3) {
  return std::span(values).subspan(static_cast<std::size_t>((token * parts + part) * kWidth), kWidth);
}
bool same(std::vector<float>& a, std::vector<float>& b, std::int64_t token, std::int64_t part, std::int64_t parts = 3) {
  return std::ranges::equal(row_of(a, token, part, parts), row_of(b, token, part, parts));
}

TEST_SUITE("device attention") {
  TEST_CASE("causal: keys and values that are no numbers reach no query before them, nor its gradient") {
    std::vector<float> qkv = random_values(kTokens * 3 * kWidth);
    const std::vector<float> dy = random_values(kTokens * kWidth);
    Passes want = causal_attention(qkv, dy);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const std::int64_t from : {3, 70}) {
        CAPTURE(bad);
        CAPTURE(from);
        std::vector<float> spoiled = qkv;
        for (const std::int64_t part : {1, 2}) std::ranges::fill(row_of(spoiled, from, part), bad);
        Passes got = causal_attention(spoiled, dy);
        for (std::int64_t token = 0; token < from; ++token) {
          CHECK(same(got.y, want.y, token, 0, 1));
          CHECK(same(got.dqkv, want.dqkv, token, 0));
        }
        CHECK(std::isnan(row_of(got.y, from, 0, 1)[0]));
      }
  }

  TEST_CASE("causal: a query that is no number reaches no key after it, nor the gradient of its value") {
    std::vector<float> qkv = random_values(kTokens * 3 * kWidth);
    const std::vector<float> dy = random_values(kTokens * kWidth);
    Passes want = causal_attention(qkv, dy);
    for (const std::int64_t at : {3, 70}) {
      CAPTURE(at);
      std::vector<float> spoiled = qkv;
      std::ranges::fill(row_of(spoiled, at, 0), std::numeric_limits<float>::quiet_NaN());
      Passes got = causal_attention(spoiled, dy);
      for (std::int64_t token = at + 1; token < kTokens; ++token)
        for (const std::int64_t part : {0, 1, 2}) CHECK(same(got.dqkv, want.dqkv, token, part));
      CHECK(std::isnan(row_of(got.dqkv, at, 1)[0]));
    }
  }
}

}  // namespace
}  // namespace gesso
