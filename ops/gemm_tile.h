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

// The most accumulators that leave registers for a row of the panel and one element of the rows.
template <class Tag>
struct TileSize {
  static constexpr int kLanes = simd::Vec<Tag>::kLanes, kRows = kLanes == 4 ? 4 : 6, kVectors = kLanes == 16 ? 4 : 2;
};

// y = activation(y + bias + residual), for `count` columns from `column` on of the row with that offset.
template <class Tag>
[[gnu::noinline]] simd::Vec<Tag> finish(simd::Vec<Tag> y, const GemmEpilogue& epilogue, int64_t row_offset,
                                        int64_t column, int64_t count) {
  using V = simd::Vec<Tag>;
  if (epilogue.bias != nullptr) y = y + V::load(epilogue.bias + column, count);
  if (epilogue.residual != nullptr) y = y + V::load(epilogue.residual + row_offset + column, count);
  return activate<Tag>(y, epilogue.activation);
}

// kRows x kVectors accumulators in registers; the panel is kStride floats wide, of which the first kVectors vectors
// count.
template <class Tag, int kRows, int kVectors, int kStride>
struct RegisterTile {
  using V = simd::Vec<Tag>;
  static constexpr int kLanes = V::kLanes;

  // Each sum starts from zero and is added to `out` at its end: a third of the error of one long chain.
  static void run(const GemmTile& tile) {
    const auto next = [](int64_t c) __attribute__((always_inline)) { return c; };
    if (tile.chains) return run_steps<true>(tile, next);
    if (tile.step == 1) return run_steps<false>(tile, next);
    const int64_t step = tile.step;
    run_steps<false>(
        tile, [step](int64_t c) __attribute__((always_inline)) { return c * step; });
  }

 private:
  template <bool kChains, class Place>
  [[gnu::always_inline]] static void run_steps(const GemmTile& tile, Place place) {
    V sums[kRows][kVectors];
    const auto clear = [&](int i, int j) __attribute__((always_inline)) { sums[i][j] = 0.0f; };
    for_each_vector(clear);
    const float* panel = tile.panel;
    const auto add_tap = [&](int64_t tap) __attribute__((always_inline)) {
      accumulate(sums, tile.rows + tap * kRows, place(tile.first_channel), tile.channels, panel, place);
      panel += tile.channels * kStride;
    };
    if constexpr (kChains) {
      V totals[kRows][kVectors];
      for_each_vector([&](int i, int j) __attribute__((always_inline)) { totals[i][j] = 0.0f; });
      for (int64_t tap = 0; tap < tile.taps; ++tap) {
        add_tap(tap);
        for_each_vector([&](int i, int j) __attribute__((always_inline)) { totals[i][j] = totals[i][j] + sums[i][j]; });
        for_each_vector(clear);
      }
      for_each_vector([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = totals[i][j]; });
    } else {
      for (int64_t tap = 0; tap < tile.taps; ++tap) add_tap(tap);
    }
    if (tile.row_count == kRows && tile.column_count >= kVectors * kLanes && tile.epilogue == nullptr)
      store_whole(sums, tile);
    else
      store(sums, tile);
  }

  template <class F>
  [[gnu::always_inline]] static void for_each_vector(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) f(i, j);
  }

  // place: of a channel in its row.
  template <class Place>
  [[gnu::always_inline]] static void accumulate(V (&sums)[kRows][kVectors], const float* const* rows, int64_t first,
                                                int64_t channels, const float* panel, Place place) {
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
        const V a = x[i][place(c)];
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);
      }
    }
  }

  // What most tiles need, without a question for each vector.
  [[gnu::always_inline]] static void store_whole(const V (&sums)[kRows][kVectors], const GemmTile& tile) {
    const int64_t* offsets = tile.row_offsets;
    float* out = tile.out;
    if (tile.add)
      for_each_vector([&](int i, int j) __attribute__((always_inline)) {
        float* to = out + offsets[i] + j * kLanes;
        (V::load(to) + sums[i][j]).store(to);
      });
    else
      for_each_vector([&](int i, int j)
                          __attribute__((always_inline)) { sums[i][j].store(out + offsets[i] + j * kLanes); });
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
        if (tile.epilogue != nullptr) y = finish<Tag>(y, *tile.epilogue, tile.row_offsets[i], column, count);
        y.store(out + column, count);
      }
    }
  }
};

}  // namespace gesso
