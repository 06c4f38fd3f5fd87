#include "ops/attention_simd.h"

#include "ops/softmax_row.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

int64_t keys_seen(const AttentionBlock& block, int64_t row) {
  const int64_t seen = block.visible + row;
  return seen < 0 ? 0 : seen < block.columns ? seen : block.columns;
}

void softmax(const AttentionBlock& block, float* scores, float* highest, float* total, float* shrink) {
  for (int64_t r = 0; r < block.rows; ++r) {
    float* row = scores + r * block.columns;
    const int64_t seen = keys_seen(block, r);
    simd::map<Tag>(
        seen, [&](V score) { return score * block.scale; }, row, row);
    const float raised = simd::highest_of<Tag>(seen, row, highest[r]);
    const float sum = simd::sum_of_exponentials<Tag>(
        seen, raised,
        row, [=](int64_t i, int64_t count, V e) __attribute__((always_inline)) { e.store(row + i, count); });
    for (int64_t i = seen; i < block.columns; ++i) row[i] = 0;
    // A query that has seen no key yet keeps -infinity, and -infinity less itself is no number.
    shrink[r] = raised == highest[r] ? 1.0f : reduce_max(exp(V(highest[r] - raised)));
    total[r] = total[r] * shrink[r] + sum;
    highest[r] = raised;
  }
}

void accumulate(int64_t rows, int64_t columns, int64_t stride, const float* shrink, const float* block, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const V factor = shrink == nullptr ? 1.0f : shrink[r];
    simd::map<Tag>(
        columns, [=](V old, V added) { return fma(old, factor, added); }, y + r * stride, y + r * stride,
        block + r * columns);
  }
}

void divide(int64_t rows, int64_t columns, int64_t stride, const float* by, float* y) {
  for (int64_t r = 0; r < rows; ++r)
    simd::map<Tag>(
        columns, [divisor = V(by[r])](V x) { return x / divisor; }, y + r * stride, y + r * stride);
}

bool is_finite(int64_t rows, int64_t columns, int64_t stride, const float* x) {
  float sum = 0;
  for (int64_t r = 0; r < rows; ++r)
    sum += simd::sum_of<Tag>(
        columns, [](V so_far, V value) __attribute__((always_inline)) { return so_far + value * 0.0f; },
        x + r * stride);
  return sum == 0;  // 0 of what is finite, and of nothing else
}

void dot(int64_t rows, int64_t columns, int64_t stride, const float* a, const float* b, float* sums) {
  for (int64_t r = 0; r < rows; ++r)
    sums[r] = simd::sum_of<Tag>(
        columns, [](V sum, V p, V q) __attribute__((always_inline)) { return fma(p, q, sum); }, a + r * stride,
        b + r * stride);
}

void backward(const AttentionBlock& block, const float* log_sum, const float* delta, float* scores, float* gradients) {
  for (int64_t r = 0; r < block.rows; ++r) {
    float *p = scores + r * block.columns, *dp = gradients + r * block.columns;
    const V shift = log_sum[r], inner = delta[r], scale = block.scale;
    const int64_t seen = keys_seen(block, r);
    simd::map<Tag>(
        seen, [=](V score) { return exp(score * scale - shift); }, p, p);
    simd::map<Tag>(
        seen, [=](V weight, V gradient) { return weight * (gradient - inner) * scale; }, dp, p, dp);
    for (int64_t i = seen; i < block.columns; ++i) p[i] = dp[i] = 0;
  }
}

}  // namespace

template <>
const AttentionKernels& attention_kernels<Tag>() {
  static constexpr AttentionKernels table = {.softmax = softmax,
                                             .accumulate = accumulate,
                                             .divide = divide,
                                             .is_finite = is_finite,
                                             .dot = dot,
                                             .backward = backward};
  return table;
}

}  // namespace gesso
