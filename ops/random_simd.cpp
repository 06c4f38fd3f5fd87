// Sixteen groups of four elements at a time, mostly as plain loops over lanes that the compiler turns into vectors.
// What core/rng.h prescribes as a fused multiply-add is one here too, on every instruction set (__builtin_fmaf; Vec's
// is not on the baseline).
#include "ops/random_simd.h"

#include "core/simd.h"
#include "ops/kept_simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

constexpr int64_t kLanes = 16;
constexpr int64_t kBlock = 4 * kLanes;  // elements

struct Block {
  uint32_t word[4][kLanes];  // element 4 g + w of the block is word[w][g]
};

// Whole numbers of 64 bits in lanes, of which Philox uses the lower halves: upper halves may hold anything. And the
// lanes of a mask as bits.
#if defined(__AVX512F__)
using Wide = __m512i;
[[gnu::always_inline]] inline Wide wide(uint64_t x) { return _mm512_set1_epi64(static_cast<int64_t>(x)); }
[[gnu::always_inline]] inline Wide product(Wide a, Wide b) { return _mm512_mul_epu32(a, b); }
[[gnu::always_inline]] inline Wide upper(Wide a) { return _mm512_srli_epi64(a, 32); }
[[gnu::always_inline]] inline uint32_t bits_of(simd::Mask<Tag> mask) { return mask.bits; }
#elif defined(__AVX2__)
using Wide = __m256i;
[[gnu::always_inline]] inline Wide wide(uint64_t x) { return _mm256_set1_epi64x(static_cast<int64_t>(x)); }
[[gnu::always_inline]] inline Wide product(Wide a, Wide b) { return _mm256_mul_epu32(a, b); }
[[gnu::always_inline]] inline Wide upper(Wide a) { return _mm256_srli_epi64(a, 32); }
[[gnu::always_inline]] inline uint32_t bits_of(simd::Mask<Tag> mask) {
  return static_cast<uint32_t>(_mm256_movemask_ps(mask.bits));
}
#else
using Wide = __m128i;
[[gnu::always_inline]] inline Wide wide(uint64_t x) { return _mm_set1_epi64x(static_cast<int64_t>(x)); }
[[gnu::always_inline]] inline Wide product(Wide a, Wide b) { return _mm_mul_epu32(a, b); }
[[gnu::always_inline]] inline Wide upper(Wide a) { return _mm_srli_epi64(a, 32); }
[[gnu::always_inline]] inline uint32_t bits_of(simd::Mask<Tag> mask) {
  return static_cast<uint32_t>(_mm_movemask_ps(mask.bits));
}
#endif
constexpr int64_t kWide = sizeof(Wide) / sizeof(uint64_t);

// Philox4x32-10 of groups [group, group + kLanes).
[[gnu::always_inline]] inline void philox(const RandomSource& from, uint32_t group, Block& block) {
  const Wide m0 = wide(0xD2511F53u), m1 = wide(0xCD9E8D57u);
  for (int64_t first = 0; first < kLanes; first += kWide) {
    uint64_t groups[kWide], words[4][kWide];
    for (int64_t i = 0; i < kWide; ++i) groups[i] = group + static_cast<uint32_t>(first + i);
    Wide c0, c1 = wide(from.sample), c2 = wide(from.step);
    Wide c3 = wide(from.sample >> 32 << 16 | (from.step >> 32 & 0xFFFFu));
    __builtin_memcpy(&c0, groups, sizeof(c0));
    uint64_t k0 = from.key, k1 = from.key >> 32;
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
      const Wide p0 = product(c0, m0), p1 = product(c2, m1);
      c0 = upper(p1) ^ c1 ^ wide(k0);
      c1 = p1;
      c2 = upper(p0) ^ c3 ^ wide(k1);
      c3 = p0;
    }
    const Wide drawn[4] = {c0, c1, c2, c3};
    __builtin_memcpy(words, drawn, sizeof(words));
    for (int w = 0; w < 4; ++w)
      for (int64_t i = 0; i < kWide; ++i) block.word[w][first + i] = static_cast<uint32_t>(words[w][i]);
  }
}

[[gnu::always_inline]] inline float half_open(uint32_t word) {
  return static_cast<float>(static_cast<int32_t>(word >> 8)) * 0x1p-24f;
}
[[gnu::always_inline]] inline uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
[[gnu::always_inline]] inline float float_of(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

// log_of_parts and portable_log of core/rng.h.
[[gnu::always_inline]] inline float log_of_parts(int32_t e, float f) {
  const float s = f / (2.0f + f);
  const float z = s * s;
  float p = 0.1538461538f;
  p = __builtin_fmaf(p, z, 0.1818181818f);
  p = __builtin_fmaf(p, z, 0.2222222222f);
  p = __builtin_fmaf(p, z, 0.2857142857f);
  p = __builtin_fmaf(p, z, 0.4f);
  p = __builtin_fmaf(p, z, 0.6666666667f);
  return __builtin_fmaf(static_cast<float>(e), 0.6931471806f, __builtin_fmaf(2.0f, s, s * (z * p)));
}
struct Parts {
  int32_t e;
  float f;
};
[[gnu::always_inline]] inline Parts parts_of(float x) {
  const uint32_t bits = bits_of(x);
  const int32_t e = (static_cast<int32_t>(bits) - 0x3F3504F3) >> 23;
  return {e, float_of(bits - (static_cast<uint32_t>(e) << 23)) - 1.0f};
}
[[gnu::always_inline]] inline float log_of(float x) {
  const Parts parts = parts_of(x);
  return log_of_parts(parts.e, parts.f);
}

// portable_sincos_2pi of core/rng.h, its switch over quarters as selections.
[[gnu::always_inline]] inline void sincos_2pi(float t, float& sine_out, float& cosine_out) {
  const int32_t quarter = static_cast<int32_t>(__builtin_fmaf(4.0f, t, 0.5f));  // not negative: this is the floor
  const float r = __builtin_fmaf(-0.25f, static_cast<float>(quarter), t) * 6.2831853072f;
  const float z = r * r;
  float s = 2.7557319e-6f;
  s = __builtin_fmaf(s, z, -1.9841270e-4f);
  s = __builtin_fmaf(s, z, 8.3333333e-3f);
  s = __builtin_fmaf(s, z, -1.6666667e-1f);
  const float sine = __builtin_fmaf(r * z, s, r);
  float c = -2.7557319e-7f;
  c = __builtin_fmaf(c, z, 2.4801587e-5f);
  c = __builtin_fmaf(c, z, -1.3888889e-3f);
  c = __builtin_fmaf(c, z, 4.1666667e-2f);
  c = __builtin_fmaf(c, z, -0.5f);
  const float cosine = __builtin_fmaf(z, c, 1.0f);
  const bool swapped = (quarter & 1) != 0;
  const float a = swapped ? cosine : sine, b = swapped ? sine : cosine;
  sine_out = (quarter & 2) != 0 ? -a : a;
  cosine_out = ((quarter + 1) & 2) != 0 ? -b : b;
}

// uniform_open of core/rng.h. Its limit is a Vec's: the compiler makes a branch of the condition.
[[gnu::always_inline]] inline void open_uniforms(const uint32_t (&word)[kLanes], float (&u)[kLanes]) {
  for (int64_t i = 0; i < kLanes; ++i)
    u[i] = (static_cast<float>(static_cast<int32_t>(word[i] >> 1)) + 0.5f) * 0x1p-31f;
  for (int64_t i = 0; i < kLanes; i += V::kLanes) min(V(0x1.fffffep-1f), V::load(u + i)).store(u + i);
}

// Box and Muller: words a and b of each group become two normals, radius cos and radius sin.
[[gnu::always_inline]] inline void normal_pairs(const Block& block, int pair, float (&values)[4][kLanes]) {
  float u[kLanes], square[kLanes], radius[kLanes];
  open_uniforms(block.word[2 * pair], u);
  for (int64_t i = 0; i < kLanes; ++i) square[i] = -2.0f * log_of(u[i]);
  for (int64_t i = 0; i < kLanes; i += V::kLanes) sqrt(V::load(square + i)).store(radius + i);
  for (int64_t i = 0; i < kLanes; ++i) {
    float sine, cosine;
    sincos_2pi(half_open(block.word[2 * pair + 1][i]), sine, cosine);
    values[2 * pair][i] = radius[i] * cosine;
    values[2 * pair + 1][i] = radius[i] * sine;
  }
}

// write(i, values, count): the values of elements [i, i + count), made of a block's words by `make`.
template <class Make, class Write>
[[gnu::always_inline]] inline void for_each_block(const RandomSource& from, int64_t begin, int64_t n, Make make,
                                                  Write write) {
  Block block;
  float values[4][kLanes], ordered[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    philox(from, static_cast<uint32_t>((begin + i) / 4), block);
    make(block, values);
    for (int64_t g = 0; g < kLanes; ++g)
      for (int64_t w = 0; w < 4; ++w) ordered[4 * g + w] = values[w][g];
    write(i, ordered, n - i < kBlock ? n - i : kBlock);
  }
}

[[gnu::always_inline]] inline void make_uniform(const Block& block, float (&values)[4][kLanes]) {
  for (int w = 0; w < 4; ++w)
    for (int64_t i = 0; i < kLanes; ++i) values[w][i] = half_open(block.word[w][i]);
}
[[gnu::always_inline]] inline void make_normal(const Block& block, float (&values)[4][kLanes]) {
  normal_pairs(block, 0, values);
  normal_pairs(block, 1, values);
}
// -portable_log_of_rest of core/rng.h, then its logarithm. Where u < 1/4 the exponent of 1 - u is 0.
[[gnu::always_inline]] inline void make_gumbel(const Block& block, float (&values)[4][kLanes]) {
  float u[kLanes], f[kLanes];
  int32_t e[kLanes];
  for (int w = 0; w < 4; ++w) {
    open_uniforms(block.word[w], u);
    for (int64_t i = 0; i < kLanes; ++i) {
      const Parts parts = parts_of(1.0f - u[i]);
      e[i] = parts.e;
      f[i] = parts.f;
    }
    for (int64_t i = 0; i < kLanes; i += V::kLanes) {
      const V small = V::load(u + i);
      select(small < V(0.25f), -small, V::load(f + i)).store(f + i);
    }
    for (int64_t i = 0; i < kLanes; ++i) values[w][i] = -log_of(-log_of_parts(e[i], f[i]));
  }
}

void uniform(const RandomSource& from, int64_t begin, int64_t n, float* y) {
  for_each_block(from, begin, n, make_uniform, [=](int64_t i, const float* values, int64_t count) {
    __builtin_memcpy(y + i, values, static_cast<size_t>(count) * sizeof(float));
  });
}

void normal(const RandomSource& from, int64_t begin, int64_t n, float* y) {
  for_each_block(from, begin, n, make_normal, [=](int64_t i, const float* values, int64_t count) {
    __builtin_memcpy(y + i, values, static_cast<size_t>(count) * sizeof(float));
  });
}

void gumbel(const RandomSource& from, int64_t begin, int64_t n, float* y) {
  for_each_block(from, begin, n, make_gumbel, [=](int64_t i, const float* values, int64_t count) {
    __builtin_memcpy(y + i, values, static_cast<size_t>(count) * sizeof(float));
  });
}

// Bit i of the lower 16 becomes bit 4 i.
[[gnu::always_inline]] inline uint64_t every_fourth(uint64_t bits) {
  bits = (bits | bits << 24) & 0x000000FF000000FFu;
  bits = (bits | bits << 12) & 0x000F000F000F000Fu;
  bits = (bits | bits << 6) & 0x0303030303030303u;
  return (bits | bits << 3) & 0x1111111111111111u;
}

void keep(const RandomSource& from, int64_t begin, int64_t n, float rate, uint64_t* bits) {
  Block block;
  float values[4][kLanes];
  for (int64_t i = 0; i < n; i += kBlock) {
    philox(from, static_cast<uint32_t>((begin + i) / 4), block);
    make_uniform(block, values);
    uint64_t kept = 0;
    for (int w = 0; w < 4; ++w) {
      uint64_t lanes = 0;
      for (int64_t first = 0; first < kLanes; first += V::kLanes)
        lanes |= static_cast<uint64_t>(bits_of(V(rate) <= V::load(values[w] + first))) << first;
      kept |= every_fourth(lanes) << w;
    }
    bits[i / kBlock] = kept;
  }
}

void drop(int64_t n, const KeptBits& kept, const float* x, float* y) {
  const KeptBits of = kept;  // copied: for all that the compiler knows a store of a vector may change what was given
  simd::for_each_vector<Tag>(
      n, [=](int64_t i, int64_t count)
             __attribute__((always_inline)) { simd::kept<Tag>(V::load(x + i, count), of, i).store(y + i, count); });
}

void add_noise(const RandomSource& from, int64_t begin, int64_t n, float signal, float noise, const float* x, float* y,
               float* eps) {
  for_each_block(from, begin, n, make_normal, [=](int64_t i, const float* values, int64_t count) {
    for (int64_t v = 0; v < count; v += V::kLanes) {
      const V drawn = V::load(values + v);
      drawn.store(eps + i + v, count - v);
      (V::load(x + i + v, count - v) * signal + drawn * noise).store(y + i + v, count - v);
    }
  });
}

void scale(int64_t n, float factor, const float* x, float* y) {
  simd::map<Tag>(
      n, [=](V a) __attribute__((always_inline)) { return a * factor; }, y, x);
}

}  // namespace

template <>
const RandomKernels& random_kernels<Tag>() {
  static constexpr RandomKernels table = {.uniform = uniform,
                                          .normal = normal,
                                          .gumbel = gumbel,
                                          .keep = keep,
                                          .drop = drop,
                                          .add_noise = add_noise,
                                          .scale = scale};
  return table;
}

}  // namespace gesso
