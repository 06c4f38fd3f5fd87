// Vectors of floats for kernels that are written once and compiled once an instruction set. Only *_simd.cpp files
// include it.
//
// Includes plain C headers only, and everything in it is a template on the tag or has internal linkage: of a shared
// inline function the linker may keep the AVX-512 copy, and a lesser machine would die of it (tests/symbols_test.cpp
// watches). Every lane is computed alike, so a result does not depend on where in a vector its element lies.
#pragma once

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso::simd {

// Vec<Tag>: kLanes floats. Mask<Tag>: a truth value a lane. The specialisations offer, with the same meaning:
//   Vec(float)                        the same in every lane
//   load(p), store(p)                 kLanes floats, any alignment
//   load(p, n), store(p, n)           the first n of them, 0 <= n; touches no others; lanes not loaded are 0
//   + - * / and unary -, sqrt, abs    lane by lane, rounded once each
//   fma(a, b, c)                      a * b + c; rounded once, but twice on the baseline
//   max(a, b), min(a, b)              b where one is NaN
//   a < b, a <= b, a == b             masks; false where one is NaN
//   select(mask, a, b)                a where true, else b
//   any(mask)                         whether one lane is true
//   round(a)                          to the nearest integer, ties to even; |a| < 2^31
//   power_of_two(n)                   2^n for an integral n in [-126, 127]
//   exponent(a), mantissa(a)          a = mantissa * 2^exponent, mantissa in [1, 2); a positive, normal
//   reduce_add(a), reduce_max(a)      the upper half is folded onto the lower, again and again: a fixed order
template <class Tag>
struct Vec;
template <class Tag>
struct Mask;

template <>
struct Mask<Baseline> {
  __m128 bits;
  [[gnu::always_inline]] friend bool any(Mask mask) { return _mm_movemask_ps(mask.bits) != 0; }
};

template <>
struct Vec<Baseline> {
  static constexpr int kLanes = 4;
  __m128 v;

  Vec() = default;
  [[gnu::always_inline]] Vec(float x) : v(_mm_set1_ps(x)) {}
  [[gnu::always_inline]] explicit Vec(__m128 x) : v(x) {}

  [[gnu::always_inline]] static Vec load(const float* p) { return Vec(_mm_loadu_ps(p)); }
  [[gnu::always_inline]] static Vec load(const float* p, int64_t n) {
    if (n >= kLanes) return load(p);
    float lanes[kLanes] = {0, 0, 0, 0};
    for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
    return load(lanes);
  }
  [[gnu::always_inline]] void store(float* p) const { _mm_storeu_ps(p, v); }
  [[gnu::always_inline]] void store(float* p, int64_t n) const {
    if (n >= kLanes) return store(p);
    float lanes[kLanes];
    store(lanes);
    for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
  }

  [[gnu::always_inline]] friend Vec operator+(Vec a, Vec b) { return Vec(_mm_add_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a, Vec b) { return Vec(_mm_sub_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator*(Vec a, Vec b) { return Vec(_mm_mul_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator/(Vec a, Vec b) { return Vec(_mm_div_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a) { return Vec(_mm_xor_ps(a.v, _mm_set1_ps(-0.0f))); }
  [[gnu::always_inline]] friend Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
  [[gnu::always_inline]] friend Vec sqrt(Vec a) { return Vec(_mm_sqrt_ps(a.v)); }
  [[gnu::always_inline]] friend Vec abs(Vec a) { return Vec(_mm_andnot_ps(_mm_set1_ps(-0.0f), a.v)); }
  [[gnu::always_inline]] friend Vec max(Vec a, Vec b) { return Vec(_mm_max_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec min(Vec a, Vec b) { return Vec(_mm_min_ps(a.v, b.v)); }

  [[gnu::always_inline]] friend Mask<Baseline> operator<(Vec a, Vec b) { return {_mm_cmplt_ps(a.v, b.v)}; }
  [[gnu::always_inline]] friend Mask<Baseline> operator<=(Vec a, Vec b) { return {_mm_cmple_ps(a.v, b.v)}; }
  [[gnu::always_inline]] friend Mask<Baseline> operator==(Vec a, Vec b) { return {_mm_cmpeq_ps(a.v, b.v)}; }
  [[gnu::always_inline]] friend Vec select(Mask<Baseline> mask, Vec a, Vec b) {
    return Vec(_mm_or_ps(_mm_and_ps(mask.bits, a.v), _mm_andnot_ps(mask.bits, b.v)));
  }

  [[gnu::always_inline]] friend Vec round(Vec a) { return Vec(_mm_cvtepi32_ps(_mm_cvtps_epi32(a.v))); }
  [[gnu::always_inline]] friend Vec power_of_two(Vec n) {
    return Vec(_mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n.v), _mm_set1_epi32(127)), 23)));
  }
  [[gnu::always_inline]] friend Vec exponent(Vec a) {
    return Vec(_mm_cvtepi32_ps(_mm_sub_epi32(_mm_srli_epi32(_mm_castps_si128(a.v), 23), _mm_set1_epi32(127))));
  }
  [[gnu::always_inline]] friend Vec mantissa(Vec a) {
    const __m128i digits = _mm_and_si128(_mm_castps_si128(a.v), _mm_set1_epi32(0x007FFFFF));
    return Vec(_mm_castsi128_ps(_mm_or_si128(digits, _mm_set1_epi32(0x3F800000))));
  }
  [[gnu::always_inline]] friend float reduce_add(Vec a) {
    const __m128 pairs = _mm_add_ps(a.v, _mm_movehl_ps(a.v, a.v));
    return _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
  [[gnu::always_inline]] friend float reduce_max(Vec a) {
    const __m128 pairs = _mm_max_ps(a.v, _mm_movehl_ps(a.v, a.v));
    return _mm_cvtss_f32(_mm_max_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1)));
  }
};

#ifdef __AVX2__
template <>
struct Mask<Avx2> {
  __m256 bits;
  [[gnu::always_inline]] friend bool any(Mask mask) { return _mm256_movemask_ps(mask.bits) != 0; }
};

template <>
struct Vec<Avx2> {
  static constexpr int kLanes = 8;
  __m256 v;

  Vec() = default;
  [[gnu::always_inline]] Vec(float x) : v(_mm256_set1_ps(x)) {}
  [[gnu::always_inline]] explicit Vec(__m256 x) : v(x) {}

  [[gnu::always_inline]] static Vec load(const float* p) { return Vec(_mm256_loadu_ps(p)); }
  [[gnu::always_inline]] static Vec load(const float* p, int64_t n) {
    return n >= kLanes ? load(p) : Vec(_mm256_maskload_ps(p, first(n)));
  }
  [[gnu::always_inline]] void store(float* p) const { _mm256_storeu_ps(p, v); }
  [[gnu::always_inline]] void store(float* p, int64_t n) const {
    if (n >= kLanes) return store(p);
    _mm256_maskstore_ps(p, first(n), v);
  }

  [[gnu::always_inline]] friend Vec operator+(Vec a, Vec b) { return Vec(_mm256_add_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a, Vec b) { return Vec(_mm256_sub_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator*(Vec a, Vec b) { return Vec(_mm256_mul_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator/(Vec a, Vec b) { return Vec(_mm256_div_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a) { return Vec(_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))); }
  [[gnu::always_inline]] friend Vec fma(Vec a, Vec b, Vec c) { return Vec(_mm256_fmadd_ps(a.v, b.v, c.v)); }
  [[gnu::always_inline]] friend Vec sqrt(Vec a) { return Vec(_mm256_sqrt_ps(a.v)); }
  [[gnu::always_inline]] friend Vec abs(Vec a) { return Vec(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)); }
  [[gnu::always_inline]] friend Vec max(Vec a, Vec b) { return Vec(_mm256_max_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec min(Vec a, Vec b) { return Vec(_mm256_min_ps(a.v, b.v)); }

  [[gnu::always_inline]] friend Mask<Avx2> operator<(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  [[gnu::always_inline]] friend Mask<Avx2> operator<=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
  [[gnu::always_inline]] friend Mask<Avx2> operator==(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
  [[gnu::always_inline]] friend Vec select(Mask<Avx2> mask, Vec a, Vec b) {
    return Vec(_mm256_blendv_ps(b.v, a.v, mask.bits));
  }

  [[gnu::always_inline]] friend Vec round(Vec a) { return Vec(_mm256_cvtepi32_ps(_mm256_cvtps_epi32(a.v))); }
  [[gnu::always_inline]] friend Vec power_of_two(Vec n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return Vec(_mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
  }
  [[gnu::always_inline]] friend Vec exponent(Vec a) {
    const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a.v), 23);
    return Vec(_mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127))));
  }
  [[gnu::always_inline]] friend Vec mantissa(Vec a) {
    const __m256i digits = _mm256_and_si256(_mm256_castps_si256(a.v), _mm256_set1_epi32(0x007FFFFF));
    return Vec(_mm256_castsi256_ps(_mm256_or_si256(digits, _mm256_set1_epi32(0x3F800000))));
  }
  [[gnu::always_inline]] friend float reduce_add(Vec a) {
    return reduce_add(Vec<Baseline>(_mm256_castps256_ps128(a.v)) + Vec<Baseline>(_mm256_extractf128_ps(a.v, 1)));
  }
  [[gnu::always_inline]] friend float reduce_max(Vec a) {
    return reduce_max(max(Vec<Baseline>(_mm256_castps256_ps128(a.v)), Vec<Baseline>(_mm256_extractf128_ps(a.v, 1))));
  }

 private:
  [[gnu::always_inline]] static __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};
#endif

#ifdef __AVX512F__
template <>
struct Mask<Avx512> {
  __mmask16 bits;
  [[gnu::always_inline]] friend bool any(Mask mask) { return mask.bits != 0; }
};

template <>
struct Vec<Avx512> {
  static constexpr int kLanes = 16;
  __m512 v;

  Vec() = default;
  [[gnu::always_inline]] Vec(float x) : v(_mm512_set1_ps(x)) {}
  [[gnu::always_inline]] explicit Vec(__m512 x) : v(x) {}

  [[gnu::always_inline]] static Vec load(const float* p) { return Vec(_mm512_loadu_ps(p)); }
  [[gnu::always_inline]] static Vec load(const float* p, int64_t n) {
    return n >= kLanes ? load(p) : Vec(_mm512_maskz_loadu_ps(first(n), p));
  }
  [[gnu::always_inline]] void store(float* p) const { _mm512_storeu_ps(p, v); }
  [[gnu::always_inline]] void store(float* p, int64_t n) const {
    if (n >= kLanes) return store(p);
    _mm512_mask_storeu_ps(p, first(n), v);
  }

  [[gnu::always_inline]] friend Vec operator+(Vec a, Vec b) { return Vec(_mm512_add_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a, Vec b) { return Vec(_mm512_sub_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator*(Vec a, Vec b) { return Vec(_mm512_mul_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator/(Vec a, Vec b) { return Vec(_mm512_div_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec operator-(Vec a) { return Vec(_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))); }
  [[gnu::always_inline]] friend Vec fma(Vec a, Vec b, Vec c) { return Vec(_mm512_fmadd_ps(a.v, b.v, c.v)); }
  [[gnu::always_inline]] friend Vec sqrt(Vec a) { return Vec(_mm512_sqrt_ps(a.v)); }
  [[gnu::always_inline]] friend Vec abs(Vec a) { return Vec(_mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v)); }
  [[gnu::always_inline]] friend Vec max(Vec a, Vec b) { return Vec(_mm512_max_ps(a.v, b.v)); }
  [[gnu::always_inline]] friend Vec min(Vec a, Vec b) { return Vec(_mm512_min_ps(a.v, b.v)); }

  [[gnu::always_inline]] friend Mask<Avx512> operator<(Vec a, Vec b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
  }
  [[gnu::always_inline]] friend Mask<Avx512> operator<=(Vec a, Vec b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
  }
  [[gnu::always_inline]] friend Mask<Avx512> operator==(Vec a, Vec b) {
    return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
  }
  [[gnu::always_inline]] friend Vec select(Mask<Avx512> mask, Vec a, Vec b) {
    return Vec(_mm512_mask_blend_ps(mask.bits, b.v, a.v));
  }

  [[gnu::always_inline]] friend Vec round(Vec a) { return Vec(_mm512_cvtepi32_ps(_mm512_cvtps_epi32(a.v))); }
  [[gnu::always_inline]] friend Vec power_of_two(Vec n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return Vec(_mm512_castsi512_ps(_mm512_slli_epi32(biased, 23)));
  }
  [[gnu::always_inline]] friend Vec exponent(Vec a) {
    const __m512i biased = _mm512_srli_epi32(_mm512_castps_si512(a.v), 23);
    return Vec(_mm512_cvtepi32_ps(_mm512_sub_epi32(biased, _mm512_set1_epi32(127))));
  }
  [[gnu::always_inline]] friend Vec mantissa(Vec a) {
    const __m512i digits = _mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x007FFFFF));
    return Vec(_mm512_castsi512_ps(_mm512_or_si512(digits, _mm512_set1_epi32(0x3F800000))));
  }
  [[gnu::always_inline]] friend float reduce_add(Vec a) {
    return reduce_add(Vec<Avx2>(_mm512_castps512_ps256(a.v)) + Vec<Avx2>(_mm512_extractf32x8_ps(a.v, 1)));
  }
  [[gnu::always_inline]] friend float reduce_max(Vec a) {
    return reduce_max(max(Vec<Avx2>(_mm512_castps512_ps256(a.v)), Vec<Avx2>(_mm512_extractf32x8_ps(a.v, 1))));
  }

 private:
  [[gnu::always_inline]] static __mmask16 first(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
};
#endif

// The best that the file in hand is compiled for.
#if defined(__AVX512F__)
using Native = Avx512;
#elif defined(__AVX2__)
using Native = Avx2;
#else
using Native = Baseline;
#endif

// a * b + c + ...: the polynomial with these coefficients, highest power first (Horner).
template <class Tag, class... Rest>
[[gnu::always_inline]] inline Vec<Tag> polynomial(Vec<Tag> x, float highest, Rest... rest) {
  Vec<Tag> sum = highest;
  ((sum = fma(sum, x, Vec<Tag>(rest))), ...);
  return sum;
}

// e^x within 2 ulp; 0 from x = -104 down, infinity from 88.73 up; NaN stays.
// e^x = 2^n e^r with |r| <= ln(2) / 2, and of the series of e^r what counts: r^8 / 8! < 2^-27.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> exp(Vec<Tag> x) {
  const Vec<Tag> bounded = min(Vec<Tag>(90.0f), max(Vec<Tag>(-105.0f), x));  // NaN passes
  const Vec<Tag> n = round(bounded * 1.44269504f);
  // ln(2) in two parts, the first of so few digits that n times it is exact (Cody and Waite).
  const Vec<Tag> r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, bounded));
  const Vec<Tag> series = polynomial(r, 1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f);
  // Two factors: 2^n itself may be subnormal or too large.
  const Vec<Tag> half = round(n * 0.5f);
  return series * power_of_two(half) * power_of_two(n - half);
}

// Natural logarithm within 2 ulp; -infinity at 0, NaN below, infinity stays.
// x = 2^e (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); with s = f / (2 + f): ln(1 + f) = 2 (s + s^3/3 + s^5/5 + ...),
// arranged as f - (f^2/2 - s (f^2/2 + R)), so that the leading term is exact.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> log(Vec<Tag> x) {
  using V = Vec<Tag>;
  const auto tiny = x < V(1.17549435e-38f);  // subnormal, zero or negative
  const V scaled = select(tiny, x * 8388608.0f, x);
  const auto upper = V(1.41421356f) < mantissa(scaled);
  const V e = exponent(scaled) - select(tiny, V(23.0f), V(0.0f)) + select(upper, V(1.0f), V(0.0f));
  const V f = mantissa(scaled) * select(upper, V(0.5f), V(1.0f)) - 1.0f;
  const V s = f / (f + 2.0f), z = s * s, half_square = f * f * 0.5f;
  const V rest = z * polynomial(z, 2.0f / 11, 2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3);
  const V correction = half_square - fma(s, half_square + rest, e * -2.12194440e-4f);
  const V finite = fma(e, 0.693359375f, f - correction);
  const V special = select(x == V(0.0f), V(-INFINITY), select(x < V(0.0f), V(NAN), x));
  return select(V(0.0f) < x, select(x < V(INFINITY), finite, x), special);
}

// 1 / (1 + e^-x) within 4 ulp, subnormal results too.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> sigmoid(Vec<Tag> x) {
  const Vec<Tag> e = exp(-abs(x));
  return select(x < Vec<Tag>(0.0f), e, Vec<Tag>(1.0f)) / (e + 1.0f);
}

// Within 4 ulp. Near 0, where (1 - e) / (1 + e) would cancel, Lambert's continued fraction cut after 13.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> tanh(Vec<Tag> x) {
  using V = Vec<Tag>;
  const V z = x * x;
  const V near =
      x * polynomial(z, 1.0f, 378.0f, 17325.0f, 135135.0f) / polynomial(z, 28.0f, 3150.0f, 62370.0f, 135135.0f);
  const V e = exp(abs(x) * -2.0f);
  const V far = (V(1.0f) - e) / (e + 1.0f);
  return select(abs(x) < V(0.625f), near, select(x < V(0.0f), -far, far));
}

// to[j * to_stride + i] = from[i * from_stride + j] for i, j < 4; alike on every instruction set.
template <class Tag>
[[gnu::always_inline]] inline void transpose_4x4(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  const __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_stride);
  const __m128 c = _mm_loadu_ps(from + 2 * from_stride), d = _mm_loadu_ps(from + 3 * from_stride);
  const __m128 ab_low = _mm_unpacklo_ps(a, b), ab_high = _mm_unpackhi_ps(a, b);
  const __m128 cd_low = _mm_unpacklo_ps(c, d), cd_high = _mm_unpackhi_ps(c, d);
  _mm_storeu_ps(to, _mm_movelh_ps(ab_low, cd_low));
  _mm_storeu_ps(to + to_stride, _mm_movehl_ps(cd_low, ab_low));
  _mm_storeu_ps(to + 2 * to_stride, _mm_movelh_ps(ab_high, cd_high));
  _mm_storeu_ps(to + 3 * to_stride, _mm_movehl_ps(cd_high, ab_high));
}

// step(i, count) for i = 0, kLanes, ... below n: `count` is kLanes, known as such when inlined, but smaller at the end.
template <class Tag, class Step>
[[gnu::always_inline]] inline void for_each_vector(int64_t n, Step step) {
  constexpr int64_t kLanes = Vec<Tag>::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) step(i, kLanes);
  if (i < n) step(i, n - i);
}

// y[i] = f(x[i], ...): elementwise over n floats; y may be one of the x.
template <class Tag, class F, class... Inputs>
[[gnu::always_inline]] inline void map(int64_t n, F f, float* y, const Inputs*... x) {
  for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count)
             __attribute__((always_inline)) { f(Vec<Tag>::load(x + i, count)...).store(y + i, count); });
}

}  // namespace gesso::simd
