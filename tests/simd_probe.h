// What tests/simd_test.cpp runs of core/simd.h and core/simd_math.h, compiled once an instruction set.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct SimdProbe {
  int lanes;
  // Elementwise over n floats.
  void (*exp)(int64_t n, const float* x, float* y);
  void (*log)(int64_t n, const float* x, float* y);
  void (*sigmoid)(int64_t n, const float* x, float* y);
  void (*tanh)(int64_t n, const float* x, float* y);
  void (*sin)(int64_t n, const float* x, float* y);
  void (*cos)(int64_t n, const float* x, float* y);
  void (*softplus)(int64_t n, const float* x, float* y);
  void (*normal_density)(int64_t n, const float* x, float* y);
  void (*normal_below)(int64_t n, const float* x, float* y);
  void (*sqrt)(int64_t n, const float* x, float* y);
  void (*abs_and_negate)(int64_t n, const float* x, float* y);  // -|x|
  void (*fma)(int64_t n, const float* a, const float* b, const float* c, float* y);
  void (*divide)(int64_t n, const float* a, const float* b, float* y);
  // 0: a < b, 1: a <= b, 2: a == b give 1, else 0; 3: max, 4: min.
  void (*compare)(int64_t n, int which, const float* a, const float* b, float* y);
  // One vector: loads n lanes of x, stores n lanes to y.
  void (*copy)(int64_t n, const float* x, float* y);
  float (*reduce_add)(const float* x);  // one vector
  float (*reduce_max)(const float* x);
  bool (*any_negative)(const float* x);
};

template <class Tag>
const SimdProbe& simd_probe();

}  // namespace gesso
