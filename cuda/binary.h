// Kernels of elementwise arithmetic of two operands, and of its gradients' terms before they are summed.
#pragma once

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"

namespace gesso {
class Tensor;
struct Execution;
}  // namespace gesso

namespace gesso::cuda {

struct BinaryKernels {
  using Of2 = void (*)(cu::Stream stream, const Map2& y_of_a_and_b);
  using Of3 = void (*)(cu::Stream stream, const Map3& term_of_dy_and_a_and_b);
  void (*scale)(cu::Stream stream, float factor, const Map1& y_of_x);
  Of2 add, sub, mul, div, maximum, minimum;
  void (*scaled_difference)(cu::Stream stream, float factor, const Map3& y_of_a_and_b_and_c);  // factor a (b - c)
  Of3 slope_of_divisor;                                                                        // -dy a / b^2
  Of3 share_of_larger, share_of_smaller;  // dy where a is it, dy / 2 where both are equal, else 0
};
template <class Build>
const BinaryKernels& binary_kernels();

void register_binary(DeviceKind device, const BinaryKernels& kernels);

// dx = factor dy (x - mean), all stretched to dx's shape: the gradient of a variance.
void slope_of_variance(const Execution& run, const Tensor& dy, const Tensor& x, const Tensor& mean, double factor,
                       const Tensor& dx);
// y = factor x, stretched to y's shape.
void scale_to(const Execution& run, const Tensor& x, double factor, const Tensor& y);
// y += x on a device whose kernels are registered.
void add_to(const Device& device, std::int64_t n, const float* x, float* y);

}  // namespace gesso::cuda
