// Attention where numbers are not finite.
#include "ops/attention.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/tape.h"
#include "tests/support.h"

namespace gesso {
namespace {

constexpr std::int64_t kTokens = 260, kHeads = 2, kWidth = 5;  // more than two blocks of tokens

std::vector<float> noise(std::mt19937_64& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

// Results and gradients of one sample, one after the other.
std::vector<float> attended(DeviceKind kind, const std::vector<float>& qkv, const std::vector<float>& dy) {
  Device& where = device(kind);
  Tape tape;
  const Tensor x = Tensor::from_host<float>(qkv, {1, kTokens, 3 * kHeads * kWidth}, where);
  tape.watch(x);
  const ops::AttentionResult result = ops::attention(x, {.heads = kHeads, .causal = true});
  const Tensor seed = Tensor::from_host<float>(dy, {1, kTokens, kHeads * kWidth}, where);
  const Tensors dx = tape.backward(std::span(&result.y, 1), std::span(&seed, 1), std::span(&x, 1));
  std::vector<float> all;
  for (const Tensor& tensor : {result.y, result.log_sum, dx.at(0)}) {
    const std::vector<float> values = tensor.to_host<float>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// How many are finite in one and not in the other, how many in none, and how far those of both are apart.
struct Difference {
  int unlike = 0, bad = 0;
  float most = 0;

  Difference(const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      unlike += std::isfinite(a[i]) != std::isfinite(b[i]);
      bad += !std::isfinite(a[i]) && !std::isfinite(b[i]);
      if (std::isfinite(a[i]) && std::isfinite(b[i])) most = std::max(most, std::abs(a[i] - b[i]));
    }
  }
};

TEST_SUITE("attention") {
  TEST_CASE("a token that is not finite reaches what sees it and nothing else, where none sees what comes later") {
    std::mt19937_64 random(test_seed());
    for (const std::int64_t token : {0, 1, 100, 127, 128, 255, 259})
      for (const std::int64_t part : {0, 1, 2, 3}) {  // q, k, v, dy
        CAPTURE(token);
        CAPTURE(part);
        std::vector<float> qkv = noise(random, kTokens * 3 * kHeads * kWidth),
                           dy = noise(random, kTokens * kHeads * kWidth);
        float& spoiled = part == 3 ? dy[static_cast<std::size_t>(token * kHeads * kWidth)]
                                   : qkv[static_cast<std::size_t>((3 * token + part) * kHeads * kWidth)];
        spoiled = std::numeric_limits<float>::quiet_NaN();
        const Difference found(attended(DeviceKind::cpu, qkv, dy), attended(DeviceKind::reference, qkv, dy));
        CHECK(found.unlike == 0);
        CHECK(found.bad > 0);
        CHECK(found.most < 1e-4F);
      }
  }
}

}  // namespace
}  // namespace gesso
