// Inner loops of ops/gemm.cpp and ops/convolution.cpp: one register tile of a matrix product whose left operand is
// given by pointers to rows, and what packs its operands.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/activation.h"
#include "ops/kept_bits.h"

namespace gesso {

// y = dropout(activation(sum + bias + residual)). Bias and dropout may differ from image to image, which lie one after
// the other in the result.
struct GemmEpilogue {
  const float* bias = nullptr;      // one a column, or null
  const float* residual = nullptr;  // laid out as the result, or null
  Activation activation = Activation::none;
  int64_t image = 0;       // floats of an image; 0: there is but one
  int64_t bias_apart = 0;  // from one image's bias to the next
  KeptBits kept{};         // of the first image, whose first element is element 0
  int64_t kept_apart = 0;  // bytes from one image's to the next
};

// Result rows i, columns j: sum over taps t and channels c of
// rows[t * GemmKernels::rows + i][c * step] * panel[t][c][j].
struct GemmTile {
  int64_t taps, channels;
  const float* const* rows;  // [taps][GemmKernels::rows]: each points to `first_channel + channels` of them
  int64_t first_channel;
  const float* panel;               // [taps][channels][GemmKernels::columns]
  float* out;                       // where column 0 of the row with offset 0 goes
  const int64_t* row_offsets;       // [GemmKernels::rows], in floats
  int64_t row_count, column_count;  // those that are stored
  bool add;                         // to what `out` holds
  const GemmEpilogue* epilogue;     // null: none; its pointers start at this tile's column 0
  int64_t step = 1;                 // floats from one channel of a row to the next
};

// out[i * out_apart + j] (+)= sum over channels c of x[i * x_apart + c] * panel[c][j]. Each `chain` channels are summed
// from zero and added at their end: shorter chains of additions err less. Whole register tiles are read and written,
// rows beyond the last and whole vectors of columns among them.
struct GemmRows {
  int64_t rows, channels, chain;
  const float* x;
  int64_t x_apart;
  const float* panel;       // [channels][GemmKernels::columns]
  const float* next_panel;  // as large: fetched into L2 on the way; null: none
  float* out;
  int64_t out_apart, column_count;
  bool add;  // to what `out` holds
};

struct GemmKernels {
  static constexpr int kMaxRows = 8;

  int rows, columns;
  void (*tile)(const GemmTile& tile);
  void (*multiply_rows)(const GemmRows& rows);
  // to[i * to_stride + j] = from[i * from_stride + j]
  void (*copy)(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to, int64_t to_stride);
  // to[i * to_stride + j] = from[i][first + j]
  void (*gather)(int64_t rows, int64_t columns, const float* const* from, int64_t first, float* to, int64_t to_stride);
  // to[j * to_stride + i] = from[i * from_stride + j]
  void (*transpose)(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to,
                    int64_t to_stride);
  // sums[j] = sum over i of x[i * stride + j]
  void (*sum_rows)(int64_t rows, int64_t columns, const float* x, int64_t stride, float* sums);
  // dx = dy times the derivative of the activation; kept: its result for relu, its argument for silu.
  void (*activation_backward)(int64_t n, Activation activation, const float* kept, const float* dy, float* dx);
};
template <class Tag>
const GemmKernels& gemm_kernels();

}  // namespace gesso
