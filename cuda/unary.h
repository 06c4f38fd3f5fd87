// Kernels of the elementwise functions of one operand.
#pragma once

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"
#include "ops/activation.h"

namespace gesso {
class Tensor;
struct Execution;
}  // namespace gesso

namespace gesso::cuda {

// What a function with attributes makes of them: leaky_relu {slope}, clamp {low, high}.
struct UnaryParameters {
  float first = 0, second = 0;
};
struct UnaryFunction {
  void (*forward)(cu::Stream stream, UnaryParameters p, const Map1& y_of_x);
  // kept: y or x, as the op's backward wants it; where it wants neither, anything.
  void (*backward)(cu::Stream stream, UnaryParameters p, const Map2& dx_of_kept_and_dy);
};
struct UnaryKernels {
  UnaryFunction relu, silu, exp, log, square, sqrt, neg, abs, rsqrt, sin, cos, sigmoid, tanh, softplus;
  UnaryFunction leaky_relu, gelu_erf, gelu_tanh, clamp;
};
template <class Build>
const UnaryKernels& unary_kernels();

void register_unary(DeviceKind device, const UnaryKernels& kernels);

// dx = dy times the derivative of the activation; kept: its result for relu, its argument for silu.
void activation_gradient(const Execution& run, Activation activation, const Tensor& kept, const Tensor& dy,
                         const Tensor& dx);

}  // namespace gesso::cuda
