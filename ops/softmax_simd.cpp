#include "ops/softmax_simd.h"

#include "ops/softmax_row.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// What is subtracted from a row: its largest element, but nothing where all are -infinity, which less itself is NaN.
float shift_of(int64_t n, const float* x) {
  const float highest = simd::highest_of<Tag>(n, x, -INFINITY);
  return highest == -INFINITY ? 0.0f : highest;
}

void softmax(int64_t n, const float* x, float* y) {
  const float sum = simd::sum_of_exponentials<Tag>(
      n, shift_of(n, x),
      x, [=](int64_t i, int64_t count, V e) __attribute__((always_inline)) { e.store(y + i, count); });
  const float factor = sum == 0 ? 0.0f : 1 / sum;
  simd::map<Tag>(
      n, [=](V e) __attribute__((always_inline)) { return e * factor; }, y, y);
}

void softmax_backward(int64_t n, const float* y, const float* dy, float* dx) {
  const float inner = simd::sum_of<Tag>(
      n, [](V sum, V p, V d) __attribute__((always_inline)) { return fma(p, d, sum); }, y, dy);
  simd::map<Tag>(
      n, [=](V p, V d) __attribute__((always_inline)) { return p * (d - inner); }, dx, y, dy);
}

void log_softmax(int64_t n, const float* x, float* y) {
  const float shift = shift_of(n, x);
  const float sum =
      simd::sum_of_exponentials<Tag>(n, shift, x, [](int64_t, int64_t, V) __attribute__((always_inline)){});
  const V logarithm = sum == 0 ? V(0.0f) : log(V(sum));
  simd::map<Tag>(
      n, [=](V a) __attribute__((always_inline)) { return a - shift - logarithm; }, y, x);
}

void log_softmax_backward(int64_t n, const float* y, const float* dy, float* dx) {
  const float sum = simd::sum_of<Tag>(
      n, [](V all, V d) __attribute__((always_inline)) { return all + d; }, dy);
  simd::map<Tag>(
      n, [=](V p, V d) __attribute__((always_inline)) { return d - exp(p) * sum; }, dx, y, dy);
}

}  // namespace

template <>
const SoftmaxKernels& softmax_kernels<Tag>() {
  static constexpr SoftmaxKernels table = {.softmax = {.forward = softmax, .backward = softmax_backward},
                                           .log_softmax = {.forward = log_softmax, .backward = log_softmax_backward}};
  return table;
}

}  // namespace gesso
