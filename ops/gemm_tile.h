// The register tile, a template on instruction set and size. Included by gemm_simd.cpp and by the test that runs the
// tile sizes of wide machines on narrow ones.
#pragma once

#include "core/simd.h"
#include "ops/gemm_simd.h"
#include "ops/kept_simd.h"

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

// y = dropout(activation(y + bias + residual)), for `count` columns from `column` on of the row with that offset.
template <class Tag>
[[gnu::noinline]] simd::Vec<Tag> finish(simd::Vec<Tag> y, const GemmEpilogue& epilogue, int64_t row_offset,
                                        int64_t column, int64_t count) {
  using V = simd::Vec<Tag>;
  const int64_t image = epilogue.image > 0 ? row_offset / epilogue.image : 0;
  if (epilogue.bias != nullptr) y = y + V::load(epilogue.bias + image * epilogue.bias_apart + column, count);
  if (epilogue.residual != nullptr) y = y + V::load(epilogue.residual + row_offset + column, count);
  y = activate<Tag>(y, epilogue.activation);
  if (epilogue.kept.bits == nullptr) return y;
  KeptBits kept = epilogue.kept;
  kept.bits += image * epilogue.kept_apart;
  return simd::kept<Tag>(y, kept, row_offset - image * epilogue.image + column);
}

// kRows x kVectors accumulators in registers; the panel is kStride floats wide, of which the first kVectors vectors
// count.
template <class Tag, int kRows, int kVectors, int kStride>
struct RegisterTile {
  using V = simd::Vec<Tag>;
  static constexpr int kLanes = V::kLanes;

  // Each sum starts from zero and is added to `out` at its end: a third of the error of one long chain.
  static void run(const GemmTile& tile) {
    if (tile.step == 1)
      return run_steps(
          tile, [](int64_t c) __attribute__((always_inline)) { return c; });
    const int64_t step = tile.step;
    run_steps(
        tile, [step](int64_t c) __attribute__((always_inline)) { return c * step; });
  }

  static void run_rows(const GemmRows& r) {
    int64_t row = 0;
    for (; row + kRows < r.rows; row += kRows) run_chains<false>(r, row);
    if (r.next_panel == nullptr)
      run_chains<false>(r, row);
    else
      run_chains<true>(r, row);
  }

 private:
  template <class Place>
  [[gnu::always_inline]] static void run_steps(const GemmTile& tile, Place place) {
    V sums[kRows][kVectors];
    for_each_vector([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = 0.0f; });
    const float* panel = tile.panel;
    for (int64_t tap = 0; tap < tile.taps; ++tap) {
      const float* x[kRows];
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) x[i] = tile.rows[tap * kRows + i] + place(tile.first_channel);
      accumulate(sums, x, tile.channels, panel, place, [](int64_t) {});
      panel += tile.channels * kStride;
    }
    const bool is_whole = tile.row_count == kRows && tile.column_count >= kVectors * kLanes;
    if (is_whole && tile.epilogue == nullptr)
      store_whole(sums, tile);
    else if (is_whole && is_simple(*tile.epilogue))
      store_finished(sums, tile);
    else
      store(sums, tile);
  }

  // One register tile of rows; kFetches: the next panel, a row of it for each of this one.
  template <bool kFetches>
  [[gnu::always_inline]] static void run_chains(const GemmRows& r, int64_t row) {
    const float* x[kRows];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) x[i] = r.x + (row + i) * r.x_apart;
    const float *panel = r.panel, *next_panel = r.next_panel;
    float* const out = r.out + row * r.out_apart;
    const int64_t apart = r.out_apart;
    for (int64_t first = 0; first < r.channels; first += r.chain) {
      const int64_t count = r.channels - first < r.chain ? r.channels - first : r.chain;
      V sums[kRows][kVectors];
      for_each_vector([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = 0.0f; });
      accumulate(
          sums, x, count, panel, [](int64_t c) __attribute__((always_inline)) { return c; },
          [next_panel](int64_t c) __attribute__((always_inline)) {
            if constexpr (kFetches)
              for (int64_t line = 0; line < kStride; line += 16)
                __builtin_prefetch(next_panel + c * kStride + line, 0, 2);
          });
      if (first == 0 && !r.add)
        for_each_vector([&](int i, int j)
                            __attribute__((always_inline)) { sums[i][j].store(out + i * apart + j * kLanes); });
      else
        for_each_vector([&](int i, int j) __attribute__((always_inline)) {
          float* to = out + i * apart + j * kLanes;
          (V::load(to) + sums[i][j]).store(to);
        });
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) x[i] += count;
      panel += count * kStride;
      next_panel += count * kStride;
    }
  }

  template <class F>
  [[gnu::always_inline]] static void for_each_vector(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) f(i, j);
  }

  // place: of a channel in its row; ahead(c): what else is done at channel c.
  template <class Place, class Ahead>
  [[gnu::always_inline]] static void accumulate(V (&sums)[kRows][kVectors], const float* const (&x)[kRows],
                                                int64_t channels, const float* panel, Place place, Ahead ahead) {
#pragma GCC unroll 4
    for (int64_t c = 0; c < channels; ++c) {
      ahead(c);
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

  static bool is_simple(const GemmEpilogue& e) {
    return e.activation != Activation::silu && e.kept.bits == nullptr && e.image == 0;
  }
  // The same with an epilogue of bias, residual and relu alone: without a call for each vector.
  [[gnu::always_inline]] static void store_finished(const V (&sums)[kRows][kVectors], const GemmTile& tile) {
    const int64_t* offsets = tile.row_offsets;
    float* out = tile.out;
    const float *bias = tile.epilogue->bias, *residual = tile.epilogue->residual;
    const V least = tile.epilogue->activation == Activation::relu ? 0.0f : -INFINITY;
    const bool add = tile.add;
    for_each_vector([&](int i, int j) __attribute__((always_inline)) {
      const int64_t at = offsets[i] + j * kLanes;
      V y = sums[i][j];
      if (add) y = y + V::load(out + at);
      if (bias != nullptr) y = y + V::load(bias + j * kLanes);
      if (residual != nullptr) y = y + V::load(residual + at);
      max(least, y).store(out + at);  // NaN stays
    });
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
