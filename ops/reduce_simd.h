// Inner loops of ops/extreme.cpp and ops/variance.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// The largest of some values, and which it is: the first of equal ones, and the first NaN where there is one.
struct Extreme {
  float value;
  int32_t index;
};

// Of x[rows,n], rows `row` elements apart, for each of the n <= 1024 columns.
struct ReduceKernels {
  // Of sign x, with sign 1 or -1. rows < 2^24.
  void (*largest)(int64_t rows, int64_t n, int64_t row, float sign, const float* x, Extreme* largest);
  // sums = sum (x - mean)^2, in double and in the same order on every instruction set.
  void (*squared_deviations)(int64_t rows, int64_t n, int64_t row, const float* x, const double* mean, double* sums);
};
template <class Tag>
const ReduceKernels& reduce_kernels();

}  // namespace gesso
