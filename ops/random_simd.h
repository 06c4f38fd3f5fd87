// Inner loops of ops/random.cpp: core/rng.h in lanes, bit for bit.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/kept_bits.h"

namespace gesso {

// Where the words of one sample come from.
struct RandomSource {
  uint64_t key, step, sample;
};
struct RandomKernels {
  // Elements [begin, begin + n) of the sample, begin a multiple of 4.
  void (*uniform)(const RandomSource& from, int64_t begin, int64_t n, float* y);
  void (*normal)(const RandomSource& from, int64_t begin, int64_t n, float* y);
  void (*gumbel)(const RandomSource& from, int64_t begin, int64_t n, float* y);
  // Bit i: whether dropout keeps element begin + i, whose uniform is then at least `rate`. Whole words are written;
  // begin a multiple of 64.
  void (*keep)(const RandomSource& from, int64_t begin, int64_t n, float rate, uint64_t* bits);
  void (*drop)(int64_t n, const KeptBits& kept, const float* x, float* y);
  // eps: the element's normal; y = signal x + noise eps
  void (*add_noise)(const RandomSource& from, int64_t begin, int64_t n, float signal, float noise, const float* x,
                    float* y, float* eps);
  void (*scale)(int64_t n, float factor, const float* x, float* y);  // y = factor x
};
template <class Tag>
const RandomKernels& random_kernels();

}  // namespace gesso
