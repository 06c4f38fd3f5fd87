#include "ops/winograd_simd.h"

#include "core/simd.h"
#include "ops/gemm_tile.h"
#include "ops/kept_simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// The matrices as functions on one line of a square. F(2x2,3x3) interpolates at 0, 1, -1 and infinity.
struct F2 {
  static constexpr int kTaps = 3, kTile = 2, kPatch = 4, kLeftOut = -1;

  [[gnu::always_inline]] static void input(const V (&d)[4], V (&t)[4]) {  // B^T
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
  }
  [[gnu::always_inline]] static void output(const V (&m)[4], V (&y)[2]) {  // A^T
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
  [[gnu::always_inline]] static void output_gradient(const V (&dy)[2], V (&z)[4]) {  // A
    z[0] = dy[0];
    z[1] = dy[0] + dy[1];
    z[2] = dy[0] - dy[1];
    z[3] = -dy[1];
  }
  [[gnu::always_inline]] static void weight(const V (&g)[3], V (&u)[4]) {  // G
    const V even = (g[0] + g[2]) * 0.5f, odd = g[1] * 0.5f;
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  [[gnu::always_inline]] static void weight_gradient(const V (&u)[4], V (&g)[3]) {  // G^T
    const V even = (u[1] + u[2]) * 0.5f;
    g[0] = u[0] + even;
    g[1] = (u[1] - u[2]) * 0.5f;
    g[2] = even + u[3];
  }
};

// Polynomials of degree 3 at a point and its opposite, and what goes with two such pairs the other way.
[[gnu::always_inline]] inline void values(const V (&c)[4], float at, V& there, V& opposite) {
  const V even = fma(at * at, c[2], c[0]), odd = fma(at * at, c[3], c[1]) * at;
  there = even + odd;
  opposite = even - odd;
}
// y[i] = a^i (m[0] + (-1)^i m[1]) + b^i (m[2] + (-1)^i m[3]), and y[3] + last.
[[gnu::always_inline]] inline void power_sums(float a, float b, const V* m, V last, V (&y)[4]) {
  const V even_a = m[0] + m[1], odd_a = m[0] - m[1], even_b = m[2] + m[3], odd_b = m[2] - m[3];
  y[0] = even_a + even_b;
  y[1] = fma(a, odd_a, odd_b * b);
  y[2] = fma(a * a, even_a, even_b * (b * b));
  y[3] = fma(a * a * a, odd_a, fma(b * b * b, odd_b, last));
}

// F(4x4,3x3) interpolates at 0, a, -a, b, -b and infinity. The usual points 1 and 2 have 2.3 times the error of these.
// All constants but those of 1 / N are exact.
struct F4 {
  static constexpr int kTaps = 3, kTile = 4, kPatch = 6, kLeftOut = 0;
  static constexpr float a = 5.0f / 8, b = 3.0f / 2, a2 = a * a, b2 = b * b;
  static constexpr float inverse_n0 = 1 / (a2 * b2), inverse_na = 1 / (2 * a2 * (a2 - b2)),
                         inverse_nb = 1 / (2 * b2 * (b2 - a2));

  [[gnu::always_inline]] static void input(const V (&d)[6], V (&t)[6]) {  // B^T
    const V even_a = fma(-b2, d[2], d[4]), odd_a = fma(-b2, d[1], d[3]);
    const V even_b = fma(-a2, d[2], d[4]), odd_b = fma(-a2, d[1], d[3]);
    t[0] = fma(a2 * b2, d[0], fma(-(a2 + b2), d[2], d[4]));
    t[1] = fma(a, odd_a, even_a);
    t[2] = fma(-a, odd_a, even_a);
    t[3] = fma(b, odd_b, even_b);
    t[4] = fma(-b, odd_b, even_b);
    t[5] = fma(a2 * b2, d[1], fma(-(a2 + b2), d[3], d[5]));
  }
  [[gnu::always_inline]] static void output(const V (&m)[6], V (&y)[4]) {  // A^T
    power_sums(a, b, m + 1, m[5], y);
    y[0] = m[0] + y[0];
  }
  [[gnu::always_inline]] static void output_gradient(const V (&dy)[4], V (&z)[6]) {  // A
    z[0] = dy[0];
    values(dy, a, z[1], z[2]);
    values(dy, b, z[3], z[4]);
    z[5] = dy[3];
  }
  [[gnu::always_inline]] static void weight(const V (&g)[3], V (&u)[6]) {  // G
    const V even_a = fma(a2, g[2], g[0]) * inverse_na, odd_a = g[1] * (a * inverse_na);
    const V even_b = fma(b2, g[2], g[0]) * inverse_nb, odd_b = g[1] * (b * inverse_nb);
    u[0] = g[0] * inverse_n0;
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
  [[gnu::always_inline]] static void weight_gradient(const V (&u)[6], V (&g)[3]) {  // G^T
    const V even_a = (u[1] + u[2]) * inverse_na, odd_a = (u[1] - u[2]) * inverse_na;
    const V even_b = (u[3] + u[4]) * inverse_nb, odd_b = (u[3] - u[4]) * inverse_nb;
    g[0] = fma(inverse_n0, u[0], even_a + even_b);
    g[1] = fma(a, odd_a, odd_b * b);
    g[2] = fma(a2, even_a, fma(b2, even_b, u[5]));
  }

  // F(3,3) at a, -a, b, -b and infinity. G's factor 1 / N of a point p holds p - 0 too, so that here B^T has it.
  struct Short {
    static constexpr int kTile = 3, kPatch = 5;

    [[gnu::always_inline]] static void input(const V (&d)[5], V (&t)[5]) {
      const V even_a = fma(-b2, d[0], d[2]) * a2, odd_a = fma(-b2, d[1], d[3]);
      const V even_b = fma(-a2, d[0], d[2]) * b2, odd_b = fma(-a2, d[1], d[3]);
      t[0] = fma(a, odd_a, even_a);
      t[1] = fma(-a, odd_a, even_a);
      t[2] = fma(b, odd_b, even_b);
      t[3] = fma(-b, odd_b, even_b);
      t[4] = fma(a2 * b2, d[0], fma(-(a2 + b2), d[2], d[4]));
    }
    [[gnu::always_inline]] static void output(const V (&m)[5], V (&y)[3]) {
      const V even_a = m[0] + m[1], even_b = m[2] + m[3];
      y[0] = even_a + even_b;
      y[1] = fma(a, m[0] - m[1], (m[2] - m[3]) * b);
      y[2] = fma(a2, even_a, fma(b2, even_b, m[4]));
    }
    [[gnu::always_inline]] static void output_gradient(const V (&dy)[3], V (&z)[5]) {
      const V even_a = fma(a2, dy[2], dy[0]), even_b = fma(b2, dy[2], dy[0]);
      z[0] = fma(a, dy[1], even_a);
      z[1] = fma(-a, dy[1], even_a);
      z[2] = fma(b, dy[1], even_b);
      z[3] = fma(-b, dy[1], even_b);
      z[4] = dy[2];
    }
  };
};

// F(4x4,2x2) interpolates at a, -a, b, -b and infinity. The usual points 0, 1, -1 and 2 have twice the error of these.
struct F4By2 {
  static constexpr int kTaps = 2, kTile = 4, kPatch = 5, kLeftOut = 3;
  static constexpr float a = 19.0f / 16, b = 13.0f / 32, a2 = a * a, b2 = b * b;
  static constexpr float inverse_na = 1 / (2 * a * (a2 - b2)), inverse_nb = 1 / (2 * b * (b2 - a2));

  [[gnu::always_inline]] static void input(const V (&d)[5], V (&t)[5]) {  // B^T
    const V even_a = fma(-b2, d[0], d[2]), odd_a = fma(-b2, d[1], d[3]);
    const V even_b = fma(-a2, d[0], d[2]), odd_b = fma(-a2, d[1], d[3]);
    t[0] = fma(a, even_a, odd_a);
    t[1] = fma(-a, even_a, odd_a);
    t[2] = fma(b, even_b, odd_b);
    t[3] = fma(-b, even_b, odd_b);
    t[4] = fma(a2 * b2, d[0], fma(-(a2 + b2), d[2], d[4]));
  }
  [[gnu::always_inline]] static void output(const V (&m)[5], V (&y)[4]) {  // A^T
    power_sums(a, b, m, m[4], y);
  }
  [[gnu::always_inline]] static void output_gradient(const V (&dy)[4], V (&z)[5]) {  // A
    values(dy, a, z[0], z[1]);
    values(dy, b, z[2], z[3]);
    z[4] = dy[3];
  }
  [[gnu::always_inline]] static void weight(const V (&g)[2], V (&u)[5]) {  // G
    const V even_a = g[0] * inverse_na, odd_a = g[1] * (a * inverse_na);
    const V even_b = g[0] * inverse_nb, odd_b = g[1] * (b * inverse_nb);
    u[0] = odd_a + even_a;
    u[1] = odd_a - even_a;
    u[2] = odd_b + even_b;
    u[3] = odd_b - even_b;
    u[4] = g[1];
  }
  [[gnu::always_inline]] static void weight_gradient(const V (&u)[5], V (&g)[2]) {  // G^T
    g[0] = fma(inverse_na, u[0] - u[1], (u[2] - u[3]) * inverse_nb);
    g[1] = fma(a * inverse_na, u[0] + u[1], fma(b * inverse_nb, u[2] + u[3], u[4]));
  }

  // F(3,2) at a, -a, b and infinity. G's factor 1 / N of a point p holds p + b too, so that here B^T has it.
  struct Short {
    static constexpr int kTile = 3, kPatch = 4;

    [[gnu::always_inline]] static void input(const V (&d)[4], V (&t)[4]) {
      const V low = fma(-b, d[0], d[1]), high = fma(-b, d[1], d[2]);
      t[0] = fma(a, low, high) * (a + b);
      t[1] = fma(-a, low, high) * (b - a);
      t[2] = fma(-a2, d[0], d[2]) * (2 * b);
      t[3] = fma(-a2, low, fma(-b, d[2], d[3]));
    }
    [[gnu::always_inline]] static void output(const V (&m)[4], V (&y)[3]) {
      const V even_a = m[0] + m[1];
      y[0] = even_a + m[2];
      y[1] = fma(a, m[0] - m[1], m[2] * b);
      y[2] = fma(a2, even_a, fma(b2, m[2], m[3]));
    }
    [[gnu::always_inline]] static void output_gradient(const V (&dy)[3], V (&z)[4]) {
      const V even_a = fma(a2, dy[2], dy[0]);
      z[0] = fma(a, dy[1], even_a);
      z[1] = fma(-a, dy[1], even_a);
      z[2] = fma(b, dy[1], fma(b2, dy[2], dy[0]));
      z[3] = dy[2];
    }
  };
};

// A line of pixels, of results or of their gradient: what a transform makes of it.
template <class Side>
struct Input {
  static constexpr int kFrom = Side::kPatch, kTo = Side::kPatch;
  [[gnu::always_inline]] static void line(const V (&d)[kFrom], V (&t)[kTo]) { Side::input(d, t); }
};
template <class Side>
struct Output {
  static constexpr int kFrom = Side::kPatch, kTo = Side::kTile;
  [[gnu::always_inline]] static void line(const V (&m)[kFrom], V (&y)[kTo]) { Side::output(m, y); }
};
template <class Side>
struct OutputGradient {
  static constexpr int kFrom = Side::kTile, kTo = Side::kPatch;
  [[gnu::always_inline]] static void line(const V (&dy)[kFrom], V (&z)[kTo]) { Side::output_gradient(dy, z); }
};
template <class F>
struct WeightGradient {
  static constexpr int kFrom = F::kPatch, kTo = F::kTaps;
  [[gnu::always_inline]] static void line(const V (&u)[kFrom], V (&g)[kTo]) { F::weight_gradient(u, g); }
};

// store(i, j, value) of what Down makes of the columns of load(i, j), and Across of the rows that these give.
template <class Down, class Across, class Load, class Store>
[[gnu::always_inline]] inline void transform(Load load, Store store) {
  V half[Down::kTo][Across::kFrom];
  for (int j = 0; j < Across::kFrom; ++j) {
    V from[Down::kFrom], to[Down::kTo];
#pragma GCC unroll 6
    for (int i = 0; i < Down::kFrom; ++i) from[i] = load(i, j);
    Down::line(from, to);
#pragma GCC unroll 6
    for (int i = 0; i < Down::kTo; ++i) half[i][j] = to[i];
  }
  for (int i = 0; i < Down::kTo; ++i) {
    V to[Across::kTo];
    Across::line(half[i], to);
#pragma GCC unroll 6
    for (int j = 0; j < Across::kTo; ++j) store(i, j, to[j]);
  }
}

// The plane of the points i and j of a tile's sides.
template <class F, class Down, class Across>
[[gnu::always_inline]] constexpr int plane_of(int i, int j) {
  constexpr bool kShortDown = Down::kPatch < F::kPatch, kShortAcross = Across::kPatch < F::kPatch;
  return (i + (kShortDown && i >= F::kLeftOut ? 1 : 0)) * F::kPatch + j + (kShortAcross && j >= F::kLeftOut ? 1 : 0);
}

constexpr int64_t kLine = 16;  // floats of a cache line

// A line of the channels of each of so many pixels, from c on.
template <int kPixels>
[[gnu::always_inline]] inline void fetch(const float* const* pixels, int64_t c) {
  for (int i = 0; i < kPixels; ++i) __builtin_prefetch(pixels[i] + c);
}

// A square of pixels, into the planes of a tile with the sides Down and Across.
template <class F, class Down, class Across, template <class> class Line>
[[gnu::always_inline]] inline void transform_pixels(const WinogradSquare& s) {
  for (int64_t first = 0; first < s.channels; first += s.block) {
    const int64_t left = s.channels - first;
    float* planes = s.planes + first / s.block * s.block_apart;
    simd::for_each_vector<Tag>(
        left < s.block ? left : s.block, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
          // Copied: a store of a vector may change what a reference refers to, for all that the compiler knows.
          const int64_t plane = s.plane;
          float* to = planes + c;
          if (c % kLine == 0 && s.next != nullptr) fetch<Line<Down>::kFrom * Line<Across>::kFrom>(s.next, first + c);
          transform<Line<Down>, Line<Across>>(
              [&](int i, int j) __attribute__((always_inline)) {
                return V::load(s.pixels[i * Line<Across>::kFrom + j] + first + c, count);
              },
              [&](int i, int j, V t)
                  __attribute__((always_inline)) { t.store(to + plane_of<F, Down, Across>(i, j) * plane); });
        });
  }
}

template <class F, class Down, class Across>
void input(const WinogradSquare& square) {
  transform_pixels<F, Down, Across, Input>(square);
}

template <class F, class Down, class Across>
void output_gradient(const WinogradSquare& square) {
  transform_pixels<F, Down, Across, OutputGradient>(square);
}

// What is seldom asked of a result.
[[gnu::noinline]] V finish(V y, const WinogradTile& tile, int64_t at) {
  if (tile.activation == Activation::silu) y = activate(y, Activation::silu);
  return tile.kept.bits == nullptr ? y : simd::kept<Tag>(y, tile.kept, at);
}

template <class F, class Down, class Across>
void output(const WinogradTile& tile) {
  const bool more = tile.activation == Activation::silu || tile.kept.bits != nullptr;
  const V least = tile.activation == Activation::relu ? 0.0f : -INFINITY;
  simd::for_each_vector<Tag>(
      tile.channels, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
        const V bias = tile.bias == nullptr ? V(0.0f) : V::load(tile.bias + c, count);
        const WinogradTile t = tile;  // copied, as above
        if (c % kLine == 0)
          for (int i = 0; i < Down::kTile; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < Across::kTile; ++j)
              __builtin_prefetch(t.out + t.ahead + i * t.h_stride + j * t.w_stride + c, 1);
        transform<Output<Down>, Output<Across>>(
            [&](int i, int j) __attribute__((always_inline)) {
              return V::load(t.sums + plane_of<F, Down, Across>(i, j) * t.plane + c);
            },
            [&](int i, int j, V y) __attribute__((always_inline)) {
              if (i >= t.rows || j >= t.columns) return;
              const int64_t at = i * t.h_stride + j * t.w_stride + c;
              y = y + bias;
              if (t.residual != nullptr) y = y + V::load(t.residual + at, count);
              y = max(least, y);  // NaN stays
              if (more) y = finish(y, tile, at);
              y.store(t.out + at, count);
            });
      });
}

// Row by row of planes: the transformed weights fill L3, which takes a few streams of stores at once, not one a plane.
template <class F>
void weight(int64_t n, const float* taps, int64_t down, int64_t across, float* planes, int64_t plane) {
  constexpr int64_t kBlock = 256;
  float half[F::kPatch][F::kTaps][kBlock];
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t most = n - first < kBlock ? n - first : kBlock;
    for (int k = 0; k < F::kTaps; ++k)
      simd::for_each_vector<Tag>(
          most, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
            V g[F::kTaps], u[F::kPatch];
#pragma GCC unroll 6
            for (int j = 0; j < F::kTaps; ++j) g[j] = V::load(taps + j * down + k * across + first + c, count);
            F::weight(g, u);
#pragma GCC unroll 6
            for (int i = 0; i < F::kPatch; ++i) u[i].store(half[i][k] + c, count);
          });
    for (int i = 0; i < F::kPatch; ++i)
      simd::for_each_vector<Tag>(
          most, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
            V g[F::kTaps], u[F::kPatch];
#pragma GCC unroll 6
            for (int k = 0; k < F::kTaps; ++k) g[k] = V::load(half[i][k] + c, count);
            F::weight(g, u);
#pragma GCC unroll 6
            for (int j = 0; j < F::kPatch; ++j) u[j].store(planes + (i * F::kPatch + j) * plane + first + c, count);
          });
  }
}

template <class F>
void weight_gradient(int64_t n, const float* planes, int64_t plane, float* taps, int64_t down, int64_t across) {
  simd::for_each_vector<Tag>(
      n, [&](int64_t c, int64_t count) __attribute__((always_inline)) {
        transform<WeightGradient<F>, WeightGradient<F>>(
            [&](int i, int j)
                __attribute__((always_inline)) { return V::load(planes + (i * F::kPatch + j) * plane + c, count); },
            [&](int i, int j, V g)
                __attribute__((always_inline)) { g.store(taps + i * down + j * across + c, count); });
      });
}

template <class F>
constexpr WinogradKernels kernels() {
  WinogradKernels k = {.taps = F::kTaps,
                       .tile = F::kTile,
                       .patch = F::kPatch,
                       .left_out = F::kLeftOut,
                       .input = {{input<F, F, F>}},
                       .output = {{output<F, F, F>}},
                       .output_gradient = {{output_gradient<F, F, F>}},
                       .weight = weight<F>,
                       .weight_gradient = weight_gradient<F>};
  if constexpr (F::kLeftOut >= 0) {
    using Short = typename F::Short;
    k.input[0][1] = input<F, F, Short>;
    k.input[1][0] = input<F, Short, F>;
    k.input[1][1] = input<F, Short, Short>;
    k.output[0][1] = output<F, F, Short>;
    k.output[1][0] = output<F, Short, F>;
    k.output[1][1] = output<F, Short, Short>;
    k.output_gradient[0][1] = output_gradient<F, F, Short>;
    k.output_gradient[1][0] = output_gradient<F, Short, F>;
    k.output_gradient[1][1] = output_gradient<F, Short, Short>;
  }
  return k;
}

}  // namespace

template <>
const WinogradTable& winograd_table<Tag>() {
  static constexpr WinogradTable table = {.f2 = kernels<F2>(), .f4 = kernels<F4>(), .f4_by_2 = kernels<F4By2>()};
  return table;
}

}  // namespace gesso
