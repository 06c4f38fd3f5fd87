#include "ops/convolution_gather.h"

#include <algorithm>

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

namespace {

// Taps that lie side by side in the image: one copy where the image holds them all.
struct TapRun {
  std::size_t first;
  std::int64_t taps;
};

std::vector<TapRun> tap_runs(const Gather& g, std::int64_t channels) {
  std::vector<TapRun> runs;
  for (std::size_t t = 0; t < g.taps.size(); ++t) {
    const bool follows = t > 0 && channels == g.image_c && g.taps[t].shift_h == g.taps[t - 1].shift_h &&
                         g.taps[t].shift_w == g.taps[t - 1].shift_w + 1;
    if (follows)
      ++runs.back().taps;
    else
      runs.push_back({t, 1});
  }
  return runs;
}

}  // namespace

void join_taps(const Gather& g, std::int64_t channels, std::int64_t first, std::int64_t count, float* to,
               std::int64_t stride) {
  const std::vector<TapRun> runs = tap_runs(g, channels);
  GridWalk walk(g, first);
  for (std::int64_t row = 0; row < count; ++row, to += stride, walk.next()) {
    float* next = to;
    for (const TapRun& run : runs) {
      const Tap* tap = g.taps.data() + run.first;
      if (walk.sees(tap->shift_h, tap->shift_w) && walk.sees(tap->shift_h, tap->shift_w + run.taps - 1)) {
        next = std::copy_n(walk.pixel(*tap, nullptr), run.taps * channels, next);
        continue;
      }
      for (std::int64_t t = 0; t < run.taps; ++t) {
        const float* pixel = walk.pixel(tap[t], nullptr);
        next = pixel == nullptr ? std::fill_n(next, channels, 0.0f) : std::copy_n(pixel, channels, next);
      }
    }
  }
}

}  // namespace gesso::convolution
