// Convolutions by cuDNN 9: its graph API, without a frontend.
#pragma once

#include <functional>

#include "core/tensor.h"
#include "cuda/vendor/call.h"
#include "ops/convolution.h"

namespace gesso::cuda::vendor {

enum class ConvolutionPass { forward, input_gradient, weight_gradient };

// x [N,H,W,C], weight [K,kernel_h,kernel_w,C/groups], y [N,OH,OW,K]: in a gradient's pass, x or weight is where the
// gradient goes, and y is that of the result.
struct ConvolutionTensors {
  Tensor x, weight, y;
};

// What computes that pass by the first engine of cuDNN's heuristic (mode A) that keeps to the precision and the
// workspace; empty where there is none.
std::function<void()> convolution(const ConvGeometry& g, ConvolutionPass pass, const ConvolutionTensors& tensors,
                                  Precision precision);

}  // namespace gesso::cuda::vendor
