// Inner loops of ops/broadcast.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// An operand of a block of rows: element (r, i) is data[r * row + i * element]; element is 0 or 1.
struct RowOperand {
  const float* data;
  int64_t row, element;
};
// y[rows,n] = f(a, b); y may be where an operand lies, element for element.
using BinaryKernel = void (*)(int64_t rows, int64_t n, RowOperand a, RowOperand b, float* y);

struct BroadcastKernels {
  BinaryKernel add, sub, mul, div;
  BinaryKernel inverse_slope;     // -a / b^2: the derivative of a / b by b
  BinaryKernel maximum, minimum;  // NaN where one is NaN
  // 1 where a is the larger (smaller), 1/2 where both are equal, else 0: their derivatives by a.
  BinaryKernel share_of_larger, share_of_smaller;
  // sums[n] = sum over rows of x[rows,n], in double and in the same order on every instruction set.
  void (*sum_rows)(int64_t rows, int64_t n, int64_t row, const float* x, double* sums);
};
template <class Tag>
const BroadcastKernels& broadcast_kernels();

}  // namespace gesso
