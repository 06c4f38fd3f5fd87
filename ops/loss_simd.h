// Inner loops of ops/loss.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// One loss of elements a and b (a again where there is no second operand) and the row's one parameter.
struct LossKernel {
  // The sum of the elements' losses: each in float, added in double in the same order on every instruction set.
  double (*sum)(int64_t n, const float* a, const float* b, float parameter);
  // d = scale * derivative to a, and to b; null where there is no such operand
  void (*gradient[2])(int64_t n, float scale, const float* a, const float* b, float parameter, float* d);
};
struct LossKernels {
  LossKernel mse, l1, huber, binary_cross_entropy_with_logits, hinge, gaussian_kl;
};
template <class Tag>
const LossKernels& loss_kernels();

}  // namespace gesso
