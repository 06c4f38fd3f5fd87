#include "ops/cross_entropy_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// softmax(x) = e^(x - max) / sum: no exponent overflows, and at least one term of the sum is 1.
struct Softmax {
  float max, sum;
  float below;  // the sum of max - x
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
  V sum = 0.0f, below = 0.0f;
  simd::for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        V distance = V(largest) - V::load(x + i, count), next = exp(-distance);
        if (count < V::kLanes) {  // nor count
          V(0.0f).store(lanes);
          next.store(lanes, count);
          next = V::load(lanes);
          V(0.0f).store(lanes);
          distance.store(lanes, count);
          distance = V::load(lanes);
        }
        sum = sum + next;
        below = below + distance;
      });
  return {largest, reduce_add(sum), reduce_add(below)};
}

// All q_k add up to 1, so of ln(sum) + max - sum_k q_k x_k every part is positive: nothing cancels.
double loss(int64_t n, const float* x, SmoothedLabel q) {
  const Softmax softmax = softmax_of(n, x);
  const double own = static_cast<double>(softmax.max) - static_cast<double>(x[q.label]);
  const double others = q.rest == 0 ? 0 : static_cast<double>(q.rest) * static_cast<double>(softmax.below);
  return log(static_cast<double>(softmax.sum)) + static_cast<double>(q.share) * own + others;
}

void gradient(int64_t n, float scale, const float* x, SmoothedLabel q, float* y) {
  const Softmax softmax = softmax_of(n, x);
  const float factor = scale / softmax.sum, rest = scale * q.rest;
  simd::map<Tag>(
      n, [=](V a) __attribute__((always_inline)) { return exp(a - softmax.max) * factor - rest; }, y, x);
  y[q.label] -= scale * q.share;
}

}  // namespace

template <>
const CrossEntropyKernels& cross_entropy_kernels<Tag>() {
  static constexpr CrossEntropyKernels table = {.loss = loss, .gradient = gradient};
  return table;
}

}  // namespace gesso
