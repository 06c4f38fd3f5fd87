// What the rows of conv2d and conv_transpose2d share. Included by these two .cpp only.
#pragma once

#include "ops/conv2d.h"
#include "ops/convolution.h"
#include "ops/describe.h"

namespace gesso::convolution {

// Beyond this an attribute is a mistake, and products of a few of them still fit in 63 bits.
constexpr std::int64_t kMaxAttribute = 1 << 16;

inline void check_attribute(std::string_view op, std::string_view attribute, std::int64_t value, std::int64_t least) {
  if (value < least || value > kMaxAttribute)
    fail("{}: {} must be in [{}, {}], but is {}", op, attribute, least, kMaxAttribute, value);
}

inline void check_attributes(std::string_view op, HeightWidth stride, const Padding& padding, HeightWidth dilation,
                             std::int64_t groups) {
  for (const std::int64_t value : {stride.h, stride.w}) check_attribute(op, "stride", value, 1);
  for (const std::int64_t value : {dilation.h, dilation.w}) check_attribute(op, "dilation", value, 1);
  for (const std::int64_t value : {padding.top, padding.left, padding.bottom, padding.right})
    check_attribute(op, "padding", value, 0);
  check_attribute(op, "groups", groups, 1);
}

inline void check_operands(std::string_view op, const Spec& x, const Spec& weight) {
  if (x.shape.rank() != 4 || weight.shape.rank() != 4)
    fail("{}: x must be [N,H,W,C] and weight have four dimensions (x {}, weight {})", op, x.text(), weight.text());
  check_attribute(op, "kernel height", weight.shape[1], 1);
  check_attribute(op, "kernel width", weight.shape[2], 1);
}

// What attributes and weight say of a convolution, and of one whose input gradient is meant, alike.
template <class Attrs>
ConvGeometry window_of(const Attrs& a, const Shape& weight) {
  return {.kernel_h = weight[1],
          .kernel_w = weight[2],
          .stride_h = a.stride.h,
          .stride_w = a.stride.w,
          .dilation_h = a.dilation.h,
          .dilation_w = a.dilation.w,
          .pad_top = a.padding.top,
          .pad_left = a.padding.left,
          .groups = a.groups,
          .algorithm = a.algorithm};
}

// Of those that differ for kernels of 3x3 with stride 1 and of 4x4 with stride 2.
inline ConvAlgorithm random_algorithm(Random& random, std::int64_t stride) {
  const auto algorithm = static_cast<ConvAlgorithm>(pick(random, 0, 3));
  return stride == 2 && algorithm == ConvAlgorithm::winograd2 ? ConvAlgorithm::winograd4 : algorithm;
}

// Calls visit(index in x, index in weight, index in y) for each product of the convolution g: the plain loops that
// define it.
template <class Visit>
void for_each_product(const ConvGeometry& g, Visit visit) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  for (std::int64_t pixel = 0; pixel < g.N * g.OH * g.OW; ++pixel)
    for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
      const std::int64_t n = pixel / (g.OH * g.OW);
      const std::int64_t h = pixel / g.OW % g.OH * g.stride_h + tap / g.kernel_w * g.dilation_h - g.pad_top;
      const std::int64_t w = pixel % g.OW * g.stride_w + tap % g.kernel_w * g.dilation_w - g.pad_left;
      if (h < 0 || h >= g.H || w < 0 || w >= g.W) continue;
      for (std::int64_t k = 0; k < g.K; ++k)
        for (std::int64_t c = 0; c < group_c; ++c)
          visit(static_cast<std::size_t>(((n * g.H + h) * g.W + w) * g.C + k / group_k * group_c + c),
                static_cast<std::size_t>((k * g.taps() + tap) * group_c + c),
                static_cast<std::size_t>(pixel * g.K + k));
    }
}

}  // namespace gesso::convolution
