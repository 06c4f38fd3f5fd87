// Dropout by bits on a vector of elements. Included by *_simd.cpp only.
#pragma once

#include "core/simd.h"
#include "ops/kept_bits.h"

namespace gesso::simd {

// Lane i is true where bit i is set.
template <class Tag>
struct BitMask;
template <>
struct BitMask<Baseline> {
  [[gnu::always_inline]] static Mask<Baseline> of(uint32_t bits) {
    const __m128i lanes = _mm_setr_epi32(1, 2, 4, 8);
    return {_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<int>(bits)), lanes), lanes))};
  }
};
#ifdef __AVX2__
template <>
struct BitMask<Avx2> {
  [[gnu::always_inline]] static Mask<Avx2> of(uint32_t bits) {
    const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lanes);
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lanes))};
  }
};
#endif
#ifdef __AVX512F__
template <>
struct BitMask<Avx512> {
  [[gnu::always_inline]] static Mask<Avx512> of(uint32_t bits) { return {static_cast<__mmask16>(bits)}; }
};
#endif

// The elements [element, element + kLanes) after dropout.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> kept(Vec<Tag> x, const KeptBits& of, int64_t element) {
  const int64_t bit = of.first + element;
  uint32_t bits;
  __builtin_memcpy(&bits, of.bits + (bit >> 3), sizeof(bits));
  return select(BitMask<Tag>::of(bits >> (bit & 7)), x * of.scale, Vec<Tag>(0.0f));
}

}  // namespace gesso::simd
