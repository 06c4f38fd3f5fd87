// The logistic function, and what is made of it. Included by .cu files.
#pragma once

#include "cuda/cu.h"

namespace gesso::cuda {
namespace {

__device__ __forceinline__ float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ float silu(float x) { return x * logistic(x); }
__device__ __forceinline__ float silu_gradient(float x, float dy) {
  const float s = logistic(x);
  return dy * s * fmaf(x, 1.0f - s, 1.0f);
}

}  // namespace
}  // namespace gesso::cuda
