// Inner loops of ops/loss.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct LossKernels {
  // The sum of (x - target)^2, in double and in the same order on every instruction set.
  double (*squared_distance)(int64_t n, const float* x, const float* target);
  // y = scale (x - target)
  void (*scaled_difference)(int64_t n, float scale, const float* x, const float* target, float* y);
  // -ln softmax(x)[label]
  double (*cross_entropy)(int64_t n, const float* x, int64_t label);
  // y = scale (softmax(x) - one_hot(label))
  void (*cross_entropy_gradient)(int64_t n, float scale, const float* x, int64_t label, float* y);
};
template <class Tag>
const LossKernels& loss_kernels();

}  // namespace gesso
