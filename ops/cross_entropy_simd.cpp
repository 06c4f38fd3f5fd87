#include "ops/cross_entropy_simd.h"

#include "ops/softmax_row.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// softmax(x) = e^(x - highest) / sum: no exponent overflows, and at least one term of the sum is 1. All q_k add up to
// 1, so of ln(sum) + highest - sum_k q_k x_k every part is positive: nothing cancels.
double loss(int64_t n, const float* x, SmoothedLabel q) {
  const float highest = simd::highest_of<Tag>(n, x, -INFINITY);
  V below = 0.0f;  // the sum of highest - x
  const float sum = simd::sum_of_exponentials<Tag>(
      n, highest, x, [&](int64_t i, int64_t count, V) __attribute__((always_inline)) {
        below = below + simd::first_lanes(V(highest) - V::load(x + i, count), count, 0.0f);
      });
  const double own = static_cast<double>(highest) - static_cast<double>(x[q.label]);
  const double others = q.rest == 0 ? 0 : static_cast<double>(q.rest) * static_cast<double>(reduce_add(below));
  return log(static_cast<double>(sum)) + static_cast<double>(q.share) * own + others;
}

void gradient(int64_t n, float scale, const float* x, SmoothedLabel q, float* y) {
  const float sum = simd::sum_of_exponentials<Tag>(
      n, simd::highest_of<Tag>(n, x, -INFINITY),
      x, [=](int64_t i, int64_t count, V e) __attribute__((always_inline)) { e.store(y + i, count); });
  const float factor = scale / sum, rest = scale * q.rest;
  simd::map<Tag>(
      n, [=](V e) __attribute__((always_inline)) { return e * factor - rest; }, y, y);
  y[q.label] -= scale * q.share;
}

}  // namespace

template <>
const CrossEntropyKernels& cross_entropy_kernels<Tag>() {
  static constexpr CrossEntropyKernels table = {.loss = loss, .gradient = gradient};
  return table;
}

}  // namespace gesso
