// Dropout by bits on a vector of elements. Included by *_simd.cpp only.
#pragma once

#include "core/simd.h"
#include "ops/kept_bits.h"

namespace gesso::simd {

// Lane i is true where bit i is set.
template <class Tag>
Mask<Tag> mask_of_bits(uint32_t bits);

template <>
[[gnu::always_inline]] inline Mask<Baseline> mask_of_bits<Baseline>(uint32_t bits) {
  const __m128i lanes = _mm_setr_epi32(1, 2, 4, 8);
  return {_mm_castsi128_ps(_mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<int>(bits)), lanes), lanes))};
}
#ifdef __AVX2__
template <>
[[gnu::always_inline]] inline Mask<Avx2> mask_of_bits<Avx2>(uint32_t bits) {
  const __m256i lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lanes);
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lanes))};
}
#endif
#ifdef __AVX512F__
template <>
[[gnu::always_inline]] inline Mask<Avx512> mask_of_bits<Avx512>(uint32_t bits) {
  return {static_cast<__mmask16>(bits)};
}
#endif

// The elements [element, element + kLanes) after dropout.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> kept(Vec<Tag> x, const KeptBits& of, int64_t element) {
  const int64_t bit = of.first + element;
  uint32_t bits;
  __builtin_memcpy(&bits, of.bits + (bit >> 3), sizeof(bits));
  return select(mask_of_bits<Tag>(bits >> (bit & 7)), x * of.scale, Vec<Tag>(0.0f));
}

}  // namespace gesso::simd
