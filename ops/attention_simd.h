// Inner loops of ops/attention.cpp, between its matrix products.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// Scores of `rows` queries against `columns` keys, dense. Query r sees the first min(columns, visible + r) of the keys.
struct AttentionBlock {
  int64_t rows, columns, visible;
  float scale;
};

struct AttentionKernels {
  // scores become exp(scale score - highest), 0 where the query does not see the key. highest [rows]: the highest
  // scaled score so far, raised by this block; shrink [rows]: what the raise makes of all earlier results; total
  // [rows]: the sum of all exponentials so far.
  void (*softmax)(const AttentionBlock& block, float* scores, float* highest, float* total, float* shrink);
  // y[r] = y[r] shrink[r] + block[r]; block [rows,columns] is dense, rows of y lie `stride` apart; null shrink: 1.
  void (*accumulate)(int64_t rows, int64_t columns, int64_t stride, const float* shrink, const float* block, float* y);
  void (*divide)(int64_t rows, int64_t columns, int64_t stride, const float* by, float* y);  // y[r] /= by[r]
  // Whether no element of x [rows,columns] is a NaN or infinite.
  bool (*is_finite)(int64_t rows, int64_t columns, int64_t stride, const float* x);
  // sums[r] = sum over columns of a b
  void (*dot)(int64_t rows, int64_t columns, int64_t stride, const float* a, const float* b, float* sums);
  // scores become p = exp(scale score - log_sum[r]), and gradients dp become scale p (dp - delta[r]).
  void (*backward)(const AttentionBlock& block, const float* log_sum, const float* delta, float* scores,
                   float* gradients);
};
template <class Tag>
const AttentionKernels& attention_kernels();

}  // namespace gesso
