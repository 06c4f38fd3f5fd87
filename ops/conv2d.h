// 2d convolution, NHWC, with what usually follows it.
#pragma once

#include "ops/activation.h"
#include "ops/conv_algorithm.h"
#include "ops/dropout.h"
#include "ops/op.h"

namespace gesso {

// A number for each of height and width; one number stands for both.
struct HeightWidth {
  std::int64_t h = 1, w = 1;

  HeightWidth() = default;
  HeightWidth(std::int64_t both) : h(both), w(both) {}  // implicit, so that attributes read {.stride = 2}
  HeightWidth(std::int64_t height, std::int64_t width) : h(height), w(width) {}
};
// Zeros around an image; one number stands for all four sides.
struct Padding {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;

  Padding() = default;
  Padding(std::int64_t all) : Padding(all, all, all, all) {}  // implicit, as above
  Padding(std::int64_t t, std::int64_t l, std::int64_t b, std::int64_t r) : top(t), left(l), bottom(b), right(r) {}
};

std::vector<const RowInfo*> conv2d_rows();

}  // namespace gesso

namespace gesso::ops {

struct Conv2dAttrs {
  HeightWidth stride = 1;
  Padding padding = 0;
  HeightWidth dilation = 1;
  std::int64_t groups = 1;
  std::int64_t upsample = 1;  // 1 or 2: x and skip are seen with each pixel so often, down and across
  Activation activation = Activation::none;
  DropoutAttrs dropout{};                              // of the result
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;  // on the CPU
};
// What a convolution may take besides x and weight, and does not need.
struct Conv2dOperands {
  Tensor bias{};       // [K]
  Tensor residual{};   // as the result
  Tensor time_bias{};  // [N,K], one a channel of each image: an embedded timestep
  Tensor step{};       // [1] i64, where dropout.rate is not 0
  Tensor skip{};       // [N,H,W,more channels]: they follow those of x, as if both were one tensor
};

// dropout(activation(conv(x, weight) + bias + residual + time_bias)): x [N,H,W,C] with skip's channels behind its own,
// weight [K,kernel_h,kernel_w,C/groups], result [N,OH,OW,K]. On the CPU neither the joined nor the larger image lies in
// memory. Throws where shapes do not fit, where dropout would, and unless groups are 1 beside a skip and stride and
// dilation 1 where upsample is 2.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Conv2dAttrs& attrs = {}, const Conv2dOperands& more = {});

}  // namespace gesso::ops
