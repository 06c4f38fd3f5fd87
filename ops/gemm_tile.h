// The register tile, a template on instruction set and size. Included by gemm_simd.cpp and by the test that runs the
// tile sizes of wide machines on narrow ones.
#pragma once

#include "core/simd.h"
#include "ops/gemm_simd.h"

namespace gesso {

template <class Tag>
[[gnu::always_inline]] inline simd::Vec<Tag> activate(simd::Vec<Tag> x, Activation activation) {
  switch (activation) {
    case Activation::relu:
      return max(simd::Vec<Tag>(0.0f), x);  // NaN stays
    case Activation::silu:
      return x * simd::sigmoid(x);
    default:
      return x;
  }
}

// kRows x kVectors accumulators in registers; the panel is kStride floats wide, of which the first kVectors vectors
// count.
template <class Tag, int kRows, int kVectors, int kStride>
struct RegisterTile {
  using V = simd::Vec<Tag>;
  static constexpr int kLanes = V::kLanes;

  // Each sum starts from zero and is added to `out` at its end: a third of the error of one long chain.
  static void run(const GemmTile& tile) {
    V sums[kRows][kVectors];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sums[i][j] = 0.0f;
    const float* panel = tile.panel;
    for (int64_t tap = 0; tap < tile.taps; ++tap) {
      accumulate(sums, tile.rows + tap * kRows, tile.first_channel, tile.channels, panel);
      panel += tile.channels * kStride;
    }
    store(sums, tile);
  }

 private:
  [[gnu::always_inline]] static void accumulate(V (&sums)[kRows][kVectors], const float* const* rows, int64_t first,
                                                int64_t channels, const float* panel) {
    const float* x[kRows];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) x[i] = rows[i] + first;
#pragma GCC unroll 4
    for (int64_t c = 0; c < channels; ++c) {
      V b[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) b[j] = V::load(panel + c * kStride + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const V a = x[i][c];
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);
      }
    }
  }

  [[gnu::always_inline]] static void store(const V (&sums)[kRows][kVectors], const GemmTile& tile) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      if (i >= tile.row_count) return;
      float* out = tile.out + tile.row_offsets[i];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) {
        const int64_t column = j * kLanes, count = tile.column_count - column;
        V y = sums[i][j];
        if (tile.add) y = y + V::load(out + column, count);
        if (tile.epilogue != nullptr) y = finish(y, *tile.epilogue, tile.row_offsets[i], column, count);
        y.store(out + column, count);
      }
    }
  }

  [[gnu::noinline]] static V finish(V y, const GemmEpilogue& epilogue, int64_t row_offset, int64_t column,
                                    int64_t count) {
    if (epilogue.bias != nullptr) y = y + V::load(epilogue.bias + column, count);
    if (epilogue.residual != nullptr) y = y + V::load(epilogue.residual + row_offset + column, count);
    return activate(y, epilogue.activation);
  }
};

}  // namespace gesso
