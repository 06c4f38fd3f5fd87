// The register tiles of ops/patch_simd.h, templates on the instruction set. Included by patch_simd.cpp and by the test
// that runs the tiles of wide machines on narrow ones.
#pragma once

#include "ops/gemm_tile.h"
#include "ops/patch_simd.h"

namespace gesso {

template <class Tag>
struct PatchTile {
  using V = simd::Vec<Tag>;
  static constexpr int kLanes = V::kLanes, kRows = TileSize<Tag>::kRows, kVectors = TileSize<Tag>::kVectors;
  static constexpr int64_t kColumns = kVectors * kLanes;
  static_assert(kRows <= kMostTilePixels);

  static void product(const PatchProduct& p) {
    for (int64_t first = 0; first < p.pixels; first += kRows) {
      const float* panel = p.panels;
      for (int64_t column = p.first_column; column < p.last_column; column += kColumns) {
        product_of(p, first, column, panel);
        panel += p.entries * kColumns;
      }
    }
  }

  static void gradient(const PatchGradient& g) {
    int64_t channel = 0;
    for (; channel + kColumns <= g.channels; channel += kColumns) gradient_of<kVectors>(g, channel, kLanes);
    for (; channel < g.channels; channel += kLanes) gradient_of<1>(g, channel, least(kLanes, g.channels - channel));
  }

  // Pixels a tile: enough sums to keep the units busy, few enough that sums, weights and pointers stay in registers.
  static void dots(const PatchDots& d) {
    switch (d.rows) {
      case 1:
        return dots_by<1, 6, 2>(d);
      case 2:
        return dots_by<2, 5, 1>(d);
      case 3:
        return dots_by<3, 3, 1>(d);
      default:
        return dots_by<PatchDots::kMostRows, 2, 1>(d);
    }
  }

  static void sums(const PatchSums& s) {
    constexpr int kPixels = kMostTilePixels / 2;
    for (int64_t first = 0; first < s.pixels; first += kPixels) {
      const float* at[kPixels];
      float y[kPixels];
#pragma GCC unroll 4
      for (int i = 0; i < kPixels; ++i) {
        at[i] = s.products + s.places[first + i];
        y[i] = 0.0f;
      }
      for (int64_t t = 0; t < s.taps; ++t) {
        const int64_t offset = s.offsets[t];
#pragma GCC unroll 4
        for (int i = 0; i < kPixels; ++i) y[i] += at[i][offset];
      }
#pragma GCC unroll 4
      for (int i = 0; i < kPixels; ++i) {
        if (first + i >= s.pixels) return;
        const float result[1] = {y[i]};
        store_results(result, s.out, s.results[first + i], s.epilogue);
      }
    }
  }

 private:
  [[gnu::always_inline]] static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

  template <int kOuter, int kInner, class F>
  [[gnu::always_inline]] static void for_each(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < kOuter; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < kInner; ++j) f(i, j);
  }

  // --- few channels in, many out

  // Computes no more vectors of columns than are stored.
  [[gnu::always_inline]] static void product_of(const PatchProduct& p, int64_t first, int64_t column,
                                                const float* panel) {
    const int64_t vectors = (p.last_column - column + kLanes - 1) / kLanes;
    if (vectors >= kVectors) return product_tile<kVectors>(p, first, column, panel);
    if constexpr (kVectors > 2) {
      if (vectors == 3) return product_tile<3>(p, first, column, panel);
      if (vectors == 2) return product_tile<2>(p, first, column, panel);
    }
    product_tile<1>(p, first, column, panel);
  }

  template <int kWide>
  [[gnu::noinline]] static void product_tile(const PatchProduct& p, int64_t first, int64_t column, const float* panel) {
    const float* x[kRows];
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) x[i] = p.image + p.places[first + i];
    V sums[kRows][kWide];
    for_each<kRows, kWide>([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = 0.0f; });
    const int64_t* offsets = p.offsets;
    for (const int64_t* const end = offsets + p.entries; offsets < end; ++offsets, panel += kColumns) {
      const int64_t at = *offsets;
      V b[kWide];
#pragma GCC unroll 4
      for (int j = 0; j < kWide; ++j) b[j] = V::load(panel + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) {
        const V a = x[i][at];
#pragma GCC unroll 4
        for (int j = 0; j < kWide; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);
      }
    }
    if (first + kRows <= p.pixels && column + kWide * kLanes <= p.last_column && is_short(p.epilogue))
      store_whole(sums, p, first, column);
    else
      store(sums, p, first, column);
  }

  // What a few instructions do in registers.
  [[gnu::always_inline]] static bool is_short(const GemmEpilogue* epilogue) {
    return epilogue == nullptr || (epilogue->residual == nullptr && epilogue->activation != Activation::silu &&
                                   epilogue->kept.bits == nullptr && epilogue->image == 0);
  }

  template <int kWide>
  [[gnu::always_inline]] static void store_whole(V (&sums)[kRows][kWide], const PatchProduct& p, int64_t first,
                                                 int64_t column) {
    if (p.epilogue != nullptr && p.epilogue->bias != nullptr) {
      V bias[kWide];
#pragma GCC unroll 4
      for (int j = 0; j < kWide; ++j) bias[j] = V::load(p.epilogue->bias + column + j * kLanes);
      for_each<kRows, kWide>([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = sums[i][j] + bias[j]; });
    }
    if (p.epilogue != nullptr && p.epilogue->activation == Activation::relu)
      for_each<kRows, kWide>([&](int i, int j)
                                 __attribute__((always_inline)) { sums[i][j] = max(V(0.0f), sums[i][j]); });
    float* out = p.out + column;
    for_each<kRows, kWide>([&](int i, int j) __attribute__((always_inline)) {
      sums[i][j].store(out + p.results[first + i] + j * kLanes);
    });
  }

  template <int kWide>
  [[gnu::always_inline]] static void store(const V (&sums)[kRows][kWide], const PatchProduct& p, int64_t first,
                                           int64_t column) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      if (first + i >= p.pixels) return;
      const int64_t row = p.results[first + i];
#pragma GCC unroll 4
      for (int j = 0; j < kWide; ++j) {
        const int64_t at = column + j * kLanes, count = p.last_column - at;
        const V y = p.epilogue == nullptr ? sums[i][j] : finish<Tag>(sums[i][j], *p.epilogue, row, at, count);
        y.store(p.out + row + at, count);
      }
    }
  }

  // --- the gradient of a weight

  // All entries, in tiles as equal as can be: three of 16, not two of 6 and one of 4. count: lanes of a panel of one
  // vector.
  template <int kWide>
  [[gnu::always_inline]] static void gradient_of(const PatchGradient& g, int64_t channel, int64_t count) {
    const int64_t tiles = (g.entries + kRows - 1) / kRows;
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t first = tile * g.entries / tiles, last = (tile + 1) * g.entries / tiles;
      if (last - first == kRows)
        gradient_tile<kRows, kWide>(g, first, last, channel, count);
      else if (last - first == kRows - 1)
        gradient_tile<kRows - 1, kWide>(g, first, last, channel, count);
      else
        gradient_tile<kRows - 2, kWide>(g, first, last, channel, count);
    }
  }

  template <int kEntries, int kWide>
  [[gnu::noinline]] static void gradient_tile(const PatchGradient& g, int64_t first, int64_t last, int64_t channel,
                                              int64_t count) {
    const float* x[kEntries];
#pragma GCC unroll 16
    for (int i = 0; i < kEntries; ++i) x[i] = g.image + g.offsets[least(first + i, last - 1)];
    V sums[kEntries][kWide];
    for_each<kEntries, kWide>([&](int i, int j) __attribute__((always_inline)) { sums[i][j] = 0.0f; });
    for (int64_t line = 0; line < g.lines; ++line) {
      const float* wide = g.wide + line * g.wide_line + channel;
      int64_t at = line * g.image_line;
      for (int64_t column = 0; column < g.columns; ++column, at += g.image_step, wide += g.wide_step) {
        V b[kWide];
#pragma GCC unroll 4
        for (int j = 0; j < kWide; ++j) b[j] = part<kWide>(wide + j * kLanes, count);
#pragma GCC unroll 16
        for (int i = 0; i < kEntries; ++i) {
          const V a = x[i][at];
#pragma GCC unroll 4
          for (int j = 0; j < kWide; ++j) sums[i][j] = fma(a, b[j], sums[i][j]);
        }
      }
    }
    for_each<kEntries, kWide>([&](int i, int j) __attribute__((always_inline)) {
      if (first + i >= last) return;
      float* to = g.sums + (first + i) * g.channels + channel + j * kLanes;
      const V sum = g.add ? part<kWide>(to, count) + sums[i][j] : sums[i][j];
      if constexpr (kWide == 1)
        sum.store(to, count);
      else
        sum.store(to);
    });
  }

  // Of a panel of one vector `count` lanes, else all.
  template <int kWide>
  [[gnu::always_inline]] static V part(const float* from, int64_t count) {
    if constexpr (kWide == 1)
      return V::load(from, count);
    else
      return V::load(from);
  }

  // --- many channels in, few out

  // kParts neighbouring vectors of channels at a time, each with sums of its own.
  template <int kResults, int kPixels, int kParts>
  [[gnu::noinline]] static void dots_by(const PatchDots& d) {
    for (int64_t first = 0; first < d.pixels; first += kPixels) {
      V sums[kPixels][kParts][kResults];
      for_each<kPixels, kParts * kResults>([&](int i, int j) __attribute__((always_inline)) {
        sums[i][j / kResults][j % kResults] = 0.0f;
      });
      const float* const* at[kPixels];
#pragma GCC unroll 16
      for (int i = 0; i < kPixels; ++i) at[i] = d.table + d.places[first + i];
      for (int64_t t = 0; t < d.taps; ++t) add_tap(sums, at, d, d.tap[t]);
      const int64_t count = least(kPixels, d.pixels - first);
#pragma GCC unroll 16
      for (int i = 0; i < kPixels; ++i)
        if (i < count) store_pixel(sums[i], d, d.results[first + i]);
    }
  }

  template <int kResults, int kPixels, int kParts>
  [[gnu::always_inline]] static void add_tap(V (&sums)[kPixels][kParts][kResults],
                                             const float* const* const (&at)[kPixels], const PatchDots& d,
                                             const DotTap& tap) {
    const float* x[kPixels];
#pragma GCC unroll 16
    for (int i = 0; i < kPixels; ++i) x[i] = at[i][tap.place];
    const float* weights = d.weights + tap.weight;
    const int64_t channels = d.channels, apart = d.apart;
    int64_t c = 0;
    for (; c + kParts * kLanes <= channels; c += kParts * kLanes) add_step<kParts>(sums, x, c, kLanes, weights, apart);
    for (; c < channels; c += kLanes) add_step<1>(sums, x, c, least(kLanes, channels - c), weights, apart);
  }

  template <int kWide, int kResults, int kPixels, int kParts>
  [[gnu::always_inline]] static void add_step(V (&sums)[kPixels][kParts][kResults], const float* const (&x)[kPixels],
                                              int64_t c, int64_t count, const float* weights, int64_t apart) {
    V w[kWide][kResults];
    for_each<kWide, kResults>([&](int part, int j) __attribute__((always_inline)) {
      w[part][j] = held(V::load(weights + j * apart + c + part * kLanes, count));
    });
    for_each<kPixels, kWide>([&](int i, int part) __attribute__((always_inline)) {
      const V a = held(V::load(x[i] + c + part * kLanes, count));
#pragma GCC unroll 4
      for (int j = 0; j < kResults; ++j) sums[i][part][j] = fma(a, w[part][j], sums[i][part][j]);
    });
  }

  // In a register: else the compiler loads it once more for each use, and loads are what there are most of.
  [[gnu::always_inline]] static V held(V x) {
    if constexpr (requires { x.v; }) asm("" : "+v"(x.v));
    return x;
  }

  template <int kResults, int kParts>
  [[gnu::always_inline]] static void store_pixel(const V (&sums)[kParts][kResults], const PatchDots& d, int64_t row) {
    float y[kResults];
#pragma GCC unroll 4
    for (int j = 0; j < kResults; ++j) {
      V sum = sums[0][j];
#pragma GCC unroll 4
      for (int part = 1; part < kParts; ++part) sum = sum + sums[part][j];
      y[j] = reduce_add(sum);
    }
    store_results(y, d.out, row, d.epilogue);
  }

  template <int kResults>
  [[gnu::always_inline]] static void store_results(const float (&y)[kResults], float* out, int64_t row,
                                                   const GemmEpilogue* epilogue) {
    if (!is_short(epilogue)) {
      float lanes[kLanes] = {};
      for (int j = 0; j < kResults; ++j) lanes[j] = y[j];
      return finish<Tag>(V::load(lanes), *epilogue, row, 0, kResults).store(out + row, kResults);
    }
#pragma GCC unroll 4
    for (int j = 0; j < kResults; ++j) {
      float result = y[j];
      if (epilogue != nullptr && epilogue->bias != nullptr) result += epilogue->bias[j];
      if (epilogue != nullptr && epilogue->activation == Activation::relu) result = result < 0.0f ? 0.0f : result;
      out[row + j] = result;
    }
  }
};

}  // namespace gesso
