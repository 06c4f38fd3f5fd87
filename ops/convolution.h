// The three passes of a 2d convolution on the CPU, NHWC, on the register tile of ops/gemm.h. Direct: rows of the image
// are given by pointers (implicit GEMM), so stride, dilation and padding cost nothing and no copy of the image is
// unrolled. Kernels of 3x3 with stride 1 and of 4x4 with stride 2 may run by Winograd instead (ops/winograd.h), by a
// plan that depends on shape and instruction set.
// A transposed convolution is the same three passes with the roles of x and y swapped.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/conv_algorithm.h"
#include "ops/gemm.h"

namespace gesso::ops {
struct Conv2dAttrs;
struct ConvTranspose2dAttrs;
}  // namespace gesso::ops

namespace gesso {

// x [N,H,W,C], weight [K,kernel_h,kernel_w,C/groups], y [N,OH,OW,K].
struct ConvGeometry {
  std::int64_t N = 0, H = 0, W = 0, C = 0, K = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0;  // padding below and to the right only shows in OH and OW
  std::int64_t groups = 1;
  std::int64_t OH = 0, OW = 0;
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;

  std::int64_t taps() const { return kernel_h * kernel_w; }
  std::int64_t x_count() const { return N * H * W * C; }
  std::int64_t y_count() const { return N * OH * OW * K; }
  std::int64_t weight_count() const { return K * taps() * (C / groups); }
  // Multiply-adds of one pass count two; padding counts too.
  double flops() const { return 2.0 * static_cast<double>(N * OH * OW) * static_cast<double>(weight_count()); }
};

// Of conv2d; OH and OW are 0 where the kernel does not fit.
ConvGeometry geometry_of(const ops::Conv2dAttrs& attrs, const Shape& x, const Shape& weight);
// Of the convolution whose input gradient conv_transpose2d is: it leads from y to x. H and W may be negative where x or
// the kernel is too small.
ConvGeometry geometry_of(const ops::ConvTranspose2dAttrs& attrs, const Shape& x, const Shape& weight);

namespace convolution {

// The pixels of an image, whose channels lie in one tensor or, where groups are 1, one after the other in two.
template <class T>
class JoinedChannels {
 public:
  // Channels [first, first + channels) of the weight's; pixels lie `apart` floats from each other.
  struct Part {
    T* pixels;
    std::int64_t apart, first, channels;
  };

  JoinedChannels(T* all) : first_(all) {}  // implicit: mostly there is one
  // A null pointer: that part is not wanted.
  JoinedChannels(T* first, std::int64_t first_channels, T* second)
      : first_(first), second_(second), first_channels_(first_channels) {}

  bool is_joined() const { return first_channels_ >= 0; }
  T* all() const { return first_; }  // where it is not
  // Of `channels` in all; those that have none are left out.
  std::vector<Part> parts(std::int64_t channels) const {
    const std::int64_t rest = channels - first_channels_;
    if (!is_joined()) return {{first_, channels, 0, channels}};
    std::vector<Part> parts;
    if (first_ != nullptr && first_channels_ > 0) parts.push_back({first_, first_channels_, 0, first_channels_});
    if (second_ != nullptr && rest > 0) parts.push_back({second_, rest, first_channels_, rest});
    return parts;
  }

 private:
  T *first_, *second_ = nullptr;
  std::int64_t first_channels_ = -1;
};

// y = dropout(activation(conv(x, weight) + bias + residual)); bias [K], residual as y. A joined result has no epilogue.
void forward(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* weight,
             JoinedChannels<float> y, const GemmEpilogue& epilogue = {});
// dx = dropout(activation(the transpose of conv, of dy + bias + residual)); bias [C], residual as x: with them, a
// transposed convolution.
void input_gradient(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> dy, const float* weight,
                    JoinedChannels<float> dx, const GemmEpilogue& epilogue = {});
void weight_gradient(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* dy,
                     float* dweight);

enum class Pass : std::uint8_t { forward, input_gradient, weight_gradient };

// Tolerance of a row whose forward pass is that pass of g with that activation behind it, on all instruction sets of
// this machine (see ops/op.h).
double error_bound(const ConvGeometry& g, Pass forward, Activation activation = Activation::none);

}  // namespace convolution
}  // namespace gesso
