// Inner loops of ops/softmax.cpp: one row of n elements each. y may be where x lies, and dx where dy does.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct SoftmaxKernel {
  void (*forward)(int64_t n, const float* x, float* y);
  void (*backward)(int64_t n, const float* y, const float* dy, float* dx);
};
struct SoftmaxKernels {
  SoftmaxKernel softmax, log_softmax;
};
template <class Tag>
const SoftmaxKernels& softmax_kernels();

}  // namespace gesso
