// Transposed 2d convolution, NHWC: the gradient of ops/conv2d.h with respect to its input, as an op of its own.
#pragma once

#include "ops/conv2d.h"

namespace gesso {

std::vector<const RowInfo*> conv_transpose2d_rows();

}  // namespace gesso

namespace gesso::ops {

struct ConvTranspose2dAttrs {
  HeightWidth stride = 1;
  Padding padding = 0;  // cut off from the result
  HeightWidth output_padding =
      0;  // rows below and columns to the right that join the result; less than stride or dilation
  HeightWidth dilation = 1;
  std::int64_t groups = 1;
  Activation activation = Activation::none;
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;  // on the CPU
};

// activation(conv_transpose(x, weight) + bias + residual): x [N,H,W,C], weight [C,kernel_h,kernel_w,K/groups], bias
// [K], result and residual [N,OH,OW,K] with OH = (H - 1) stride - top - bottom + dilation (kernel_h - 1) + 1 +
// output_padding; bias and residual may be absent. Throws where shapes do not fit.
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const ConvTranspose2dAttrs& attrs = {},
                        const Tensor& bias = {}, const Tensor& residual = {});

}  // namespace gesso::ops
