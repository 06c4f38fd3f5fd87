// What this machine can do, measured: the ceilings that a kernel's speed is told against.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct CeilingKernels {
  // Does `rounds` times operations_a_round floating-point operations in registers; the result only keeps the compiler
  // from leaving them out.
  float (*fma_loop)(int64_t rounds);
  int64_t operations_a_round;
  void (*copy)(int64_t n, const float* x, float* y);
};
template <class Tag>
const CeilingKernels& ceiling_kernels();

}  // namespace gesso
