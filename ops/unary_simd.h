// Inner loops of ops/unary.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct UnaryKernel {
  void (*forward)(int64_t n, const float* x, float* y);
  // kept: y or x, as the op's backward wants it.
  void (*backward)(int64_t n, const float* kept, const float* dy, float* dx);
};
struct UnaryKernels {
  UnaryKernel relu, silu, exp, log, square, sqrt;
};
template <class Tag>
const UnaryKernels& unary_kernels();

}  // namespace gesso
