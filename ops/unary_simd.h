// Inner loops of the elementwise functions of one operand: ops/unary.cpp, ops/unary_parametric.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// What a function with attributes makes of them: leaky_relu {slope}, clamp {low, high}.
struct UnaryParameters {
  float first, second;
};
struct UnaryKernel {
  void (*forward)(int64_t n, UnaryParameters p, const float* x, float* y);
  // kept: y or x, as the op's backward wants it.
  void (*backward)(int64_t n, UnaryParameters p, const float* kept, const float* dy, float* dx);
};
struct UnaryKernels {
  UnaryKernel relu, silu, exp, log, square, sqrt, neg, abs, rsqrt, sin, cos, sigmoid, tanh, softplus;
  UnaryKernel leaky_relu, gelu_erf, gelu_tanh, clamp;
};
template <class Tag>
const UnaryKernels& unary_kernels();

}  // namespace gesso
