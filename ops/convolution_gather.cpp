#include "ops/convolution_gather.h"

namespace gesso::convolution {

Gather forward_gather(const ConvGeometry& g, const float* image, std::int64_t apart) {
  Gather gather = {.N = g.N,
                   .grid_h = g.OH,
                   .grid_w = g.OW,
                   .image_h = g.H,
                   .image_w = g.W,
                   .image_c = apart,
                   .step_h = g.stride_h,
                   .step_w = g.stride_w,
                   .image = image,
                   .taps = {},
                   .n_stride = g.OH * g.OW * g.K,
                   .h_stride = g.OW * g.K,
                   .w_stride = g.K,
                   .start = 0};
  for (std::int64_t kh = 0; kh < g.kernel_h; ++kh)
    for (std::int64_t kw = 0; kw < g.kernel_w; ++kw)
      gather.add_tap(kh * g.dilation_h - g.pad_top, kw * g.dilation_w - g.pad_left, kh * g.kernel_w + kw);
  return gather;
}

Gather phase_gather(const ConvGeometry& g, const float* image, std::int64_t apart, std::int64_t phase_h,
                    std::int64_t phase_w) {
  Gather gather = {.N = g.N,
                   .grid_h = divide_up(g.H - phase_h, g.stride_h),
                   .grid_w = divide_up(g.W - phase_w, g.stride_w),
                   .image_h = g.OH,
                   .image_w = g.OW,
                   .image_c = apart,
                   .step_h = 1,
                   .step_w = 1,
                   .image = image,
                   .taps = {},
                   .n_stride = g.H * g.W * g.C,
                   .h_stride = g.stride_h * g.W * g.C,
                   .w_stride = g.stride_w * g.C,
                   .start = (phase_h * g.W + phase_w) * g.C};
  // Backwards, so that the shifts ascend.
  for (std::int64_t index = g.taps() - 1; index >= 0; --index) {
    const std::int64_t h = phase_h + g.pad_top - index / g.kernel_w * g.dilation_h;
    const std::int64_t w = phase_w + g.pad_left - index % g.kernel_w * g.dilation_w;
    if (h % g.stride_h == 0 && w % g.stride_w == 0) gather.add_tap(h / g.stride_h, w / g.stride_w, index);
  }
  return gather;
}

}  // namespace gesso::convolution
