// Randomness as a pure function of (seed, purpose, site, step, sample, element): no generator, no state. Recompute,
// replay, resume, another thread count and another device draw the same bits.
//
// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), key = hash of who draws, counter =
// what is drawn. Normals by Box-Muller from operations that round identically everywhere: +, -, *, /, sqrt and fma by
// name, one rounding each; a bare a*b+c would be contracted by some compilers and not by others. All of it is constexpr,
// which is how kernels of a GPU may call it.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace gesso {

enum class Purpose : std::uint8_t { init, shuffle, augment, timestep, noise, dropout, sample, revival, data };

// Who draws: `site` is the module path, `call` tells several draws of one site apart.
std::uint64_t random_key(std::uint64_t seed, Purpose purpose, std::string_view site, std::uint64_t call = 0);

struct Words {  // of 32 random bits each
  std::uint32_t word[4];
};

constexpr Words philox(Words counter, std::uint64_t key) {  // Philox4x32-10
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter.word[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter.word[2];
    counter = {{static_cast<std::uint32_t>(p1 >> 32) ^ counter.word[1] ^ k0, static_cast<std::uint32_t>(p1),
                static_cast<std::uint32_t>(p0 >> 32) ^ counter.word[3] ^ k1, static_cast<std::uint32_t>(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

// The four words of elements [4 * group, 4 * group + 4) of one sample at one step. sample, step < 2^48.
constexpr Words random_words(std::uint64_t key, std::uint64_t step, std::uint64_t sample, std::uint32_t group) {
  return philox({{group, static_cast<std::uint32_t>(sample), static_cast<std::uint32_t>(step),
                  static_cast<std::uint32_t>(sample >> 32 << 16 | (step >> 32 & 0xFFFFu))}},
                key);
}

// In (0, 1): 31 bits count (24 would cut the normal's tail at 5.9 sigma), and 0 and 1 cannot come out.
constexpr float uniform_open(std::uint32_t word) {
  const float u = (static_cast<float>(word >> 1) + 0.5f) * 0x1p-31f;
  return u < 1.0f ? u : 0x1.fffffep-1f;
}
// In [0, 1), multiples of 2^-24.
constexpr float uniform_half_open(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

// e ln 2 + ln(1 + f), 1 + f in [sqrt(1/2), sqrt(2)); relative error below 2e-7.
constexpr float log_of_parts(std::int32_t e, float f) {
  // ln(1 + f) = 2 atanh(s), s = f / (2 + f): odd series in s, |s| < 0.1716.
  const float s = f / (2.0f + f);
  const float z = s * s;
  float p = 0.1538461538f;  // 2/13
  p = std::fma(p, z, 0.1818181818f);
  p = std::fma(p, z, 0.2222222222f);
  p = std::fma(p, z, 0.2857142857f);
  p = std::fma(p, z, 0.4f);
  p = std::fma(p, z, 0.6666666667f);
  const float tail = s * (z * p);
  return std::fma(static_cast<float>(e), 0.6931471806f, std::fma(2.0f, s, tail));
}

// ln x for a normal positive x.
constexpr float portable_log(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  // x = 2^e * m, m in [sqrt(1/2), sqrt(2)): the split point 0x3F3504F3 is sqrt(1/2).
  const std::int32_t e = (static_cast<std::int32_t>(bits) - 0x3F3504F3) >> 23;
  const float m = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(e) << 23));
  return log_of_parts(e, m - 1.0f);
}

// ln(1 - x) for x in (0, 1), of which 1 - x would lose the small ones.
constexpr float portable_log_of_rest(float x) { return x < 0.25f ? log_of_parts(0, -x) : portable_log(1.0f - x); }

struct SinCos {
  float sin, cos;
};
// sin and cos of 2 pi t for t in [0, 1).
constexpr SinCos portable_sincos_2pi(float t) {
  const float quarter = std::floor(std::fma(4.0f, t, 0.5f));
  const float r = std::fma(-0.25f, quarter, t) * 6.2831853072f;  // the difference is exact; |r| <= pi/4
  const float z = r * r;
  float s = 2.7557319e-6f;  // Taylor to r^9 and r^10: error below 1e-8 on this range
  s = std::fma(s, z, -1.9841270e-4f);
  s = std::fma(s, z, 8.3333333e-3f);
  s = std::fma(s, z, -1.6666667e-1f);
  const float sine = std::fma(r * z, s, r);
  float c = -2.7557319e-7f;
  c = std::fma(c, z, 2.4801587e-5f);
  c = std::fma(c, z, -1.3888889e-3f);
  c = std::fma(c, z, 4.1666667e-2f);
  c = std::fma(c, z, -0.5f);
  const float cosine = std::fma(z, c, 1.0f);
  switch (static_cast<int>(quarter) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

struct Normals {
  float value[4];
};
// Four standard normals from four words (Box and Muller 1958), each pair from two words.
constexpr Normals normals(Words words) {
  Normals out{};
  for (int pair = 0; pair < 2; ++pair) {
    const float radius = std::sqrt(-2.0f * portable_log(uniform_open(words.word[2 * pair])));
    const SinCos angle = portable_sincos_2pi(uniform_half_open(words.word[2 * pair + 1]));
    out.value[2 * pair] = radius * angle.cos;
    out.value[2 * pair + 1] = radius * angle.sin;
  }
  return out;
}

// Standard Gumbel, -ln(-ln(1 - u)) of u = uniform_open(word): between -2.82 and 22.19, never infinite. 1 - u stands in
// the place of u, so that the large values, which decide a maximum, are those of small u, where all 31 bits count.
constexpr float gumbel(std::uint32_t word) { return -portable_log(-portable_log_of_rest(uniform_open(word))); }

// The high 64 bits of a product.
constexpr std::uint64_t mul_high(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t a0 = a & 0xFFFFFFFFu, a1 = a >> 32, b0 = b & 0xFFFFFFFFu, b1 = b >> 32;
  const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  return a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & 0xFFFFFFFFu)) >> 32);
}

// Uniform whole number in [0, n), n > 0, without the bias of a remainder: the high half of a 64x64 product of two
// words. The bias is below n / 2^64.
constexpr std::uint64_t below(std::uint32_t high, std::uint32_t low, std::uint64_t n) {
  const std::uint64_t word = std::uint64_t{high} << 32 | low;
  return mul_high(word, n);
}

}  // namespace gesso
