// Kernels of losses over elements: each element's loss, and its derivatives.
#pragma once

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"

namespace gesso::cuda {

// What a derivative is multiplied by: dy over `terms`.
struct LossSlope {
  float parameter, terms;
};
// One loss of elements a and b (a again where there is no second operand) and the row's one parameter.
struct LossKernel {
  void (*value)(cu::Stream stream, float parameter, const Map2& loss_of_a_and_b);
  // to a, and to b; null where there is no such operand
  void (*gradient[2])(cu::Stream stream, LossSlope slope, const Map3& d_of_a_and_b_and_dy);
};
struct LossKernels {
  LossKernel mse, l1, huber, binary_cross_entropy_with_logits, hinge, gaussian_kl;
};
template <class Build>
const LossKernels& loss_kernels();

void register_loss(DeviceKind device, const LossKernels& kernels);

}  // namespace gesso::cuda
