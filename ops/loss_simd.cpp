#include "ops/loss_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

double squared_distance(int64_t n, const float* x, const float* target) {
  constexpr int64_t kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) {
      const double d = static_cast<double>(x[i + s]) - static_cast<double>(target[i + s]);
      sums[s] += d * d;
    }
  for (int64_t s = 0; i + s < n; ++s) {
    const double d = static_cast<double>(x[i + s]) - static_cast<double>(target[i + s]);
    sums[s] += d * d;
  }
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

void scaled_difference(int64_t n, float scale, const float* x, const float* target, float* y) {
  simd::map<Tag>(
      n, [=](V a, V b) __attribute__((always_inline)) { return (a - b) * scale; }, y, x, target);
}

// softmax(x) = e^(x - max) / sum: no exponent overflows, and at least one term of the sum is 1.
struct Softmax {
  float max, sum;
};

Softmax softmax_of(int64_t n, const float* x) {
  float lanes[V::kLanes];
  V highest = x[0];
  simd::for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        V next = V::load(x + i, count);
        if (count < V::kLanes) {  // lanes that were not loaded must not win
          V(x[0]).store(lanes);
          next.store(lanes, count);
          next = V::load(lanes);
        }
        highest = max(highest, next);
      });
  const float largest = reduce_max(highest);
  V sum = 0.0f;
  simd::for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        V next = exp(V::load(x + i, count) - largest);
        if (count < V::kLanes) {  // nor count
          V(0.0f).store(lanes);
          next.store(lanes, count);
          next = V::load(lanes);
        }
        sum = sum + next;
      });
  return {largest, reduce_add(sum)};
}

double cross_entropy(int64_t n, const float* x, int64_t label) {
  const Softmax softmax = softmax_of(n, x);
  return static_cast<double>(softmax.max) - static_cast<double>(x[label]) + log(static_cast<double>(softmax.sum));
}

void cross_entropy_gradient(int64_t n, float scale, const float* x, int64_t label, float* y) {
  const Softmax softmax = softmax_of(n, x);
  const float factor = scale / softmax.sum;
  simd::map<Tag>(
      n, [=](V a) __attribute__((always_inline)) { return exp(a - softmax.max) * factor; }, y, x);
  y[label] -= scale;
}

}  // namespace

template <>
const LossKernels& loss_kernels<Tag>() {
  static constexpr LossKernels table = {.squared_distance = squared_distance,
                                        .scaled_difference = scaled_difference,
                                        .cross_entropy = cross_entropy,
                                        .cross_entropy_gradient = cross_entropy_gradient};
  return table;
}

}  // namespace gesso
