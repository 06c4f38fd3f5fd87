// Inner loops of ops/where.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/broadcast_simd.h"

namespace gesso {

// As RowOperand, of bytes.
struct RowCondition {
  const uint8_t* data;
  int64_t row, element;
};

struct WhereKernels {
  // y[rows,n] = a where the condition is not 0, else b
  void (*where)(int64_t rows, int64_t n, RowCondition condition, RowOperand a, RowOperand b, float* y);
};
template <class Tag>
const WhereKernels& where_kernels();

}  // namespace gesso
