#include "ops/convolution_enlarged.h"

#include <algorithm>

#include "ops/convolution_gather.h"

namespace gesso::convolution {
namespace {

// Along one side, the taps that tap `other` of a kernel of another size goes with: [first, first + count). A tap of the
// larger kernel is a sum of taps of the smaller one, at most two, and a tap of the smaller one a term of two.
struct Taps {
  std::int64_t first, count;
};
Taps smaller_taps(std::int64_t larger, std::int64_t kernel) {
  const std::int64_t first = std::max<std::int64_t>(kernel - 1 - larger, 0);
  return {first, std::min(kernel - larger, kernel - 1) - first + 1};
}
Taps larger_taps(std::int64_t smaller, std::int64_t kernel) { return {kernel - 1 - smaller, 2}; }

// The weight on its way between the sizes, of which channels are the rows and results the columns.
struct Weights {
  const Execution& run;
  const ConvGeometry& g;
  const GemmKernels& kernels = gemm::kernels(run.isa);
  std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, area = group_c * group_k;
  Tensor by_tap = run.scratch({{g.groups, g.kernel_h, g.kernel_w, group_c, group_k}, DType::f32});
  Tensor wide = run.scratch({{g.groups, g.kernel_h, g.kernel_w + 1, group_c, group_k}, DType::f32});
  Tensor larger = run.scratch({{g.C, g.kernel_h + 1, g.kernel_w + 1, group_k}, DType::f32});

  float* tap(std::int64_t group, std::int64_t h, std::int64_t w) const {
    return by_tap.data<float>().data() + ((group * g.kernel_h + h) * g.kernel_w + w) * area;
  }
  float* wide_tap(std::int64_t group, std::int64_t h, std::int64_t w) const {
    return wide.data<float>().data() + ((group * g.kernel_h + h) * (g.kernel_w + 1) + w) * area;
  }
  float* larger_tap(std::int64_t c, std::int64_t h, std::int64_t w) const {
    return larger.data<float>().data() + ((c * (g.kernel_h + 1) + h) * (g.kernel_w + 1) + w) * group_k;
  }
  // visit(group, h, w) for each tap of `width` columns, visit(c, h, w) for each channel and tap of `height` rows.
  template <class Visit>
  void for_each_tap(std::int64_t width, Visit visit) const {
    run.pool.run(g.groups * g.kernel_h * width,
                 [&](std::int64_t i, int) { visit(i / width / g.kernel_h, i / width % g.kernel_h, i % width); });
  }
  template <class Visit>
  void for_each_channel(std::int64_t height, Visit visit) const {
    const std::int64_t width = g.kernel_w + 1;
    run.pool.run(g.C, [&](std::int64_t c, int) {
      for (std::int64_t i = 0; i < height * width; ++i) visit(c, i / width, i % width);
    });
  }

  void enlarge(const float* weight) const {
    for_each_tap(g.kernel_w, [&](std::int64_t group, std::int64_t h, std::int64_t w) {
      kernels.transpose(group_k, group_c, weight + place(group, h, w), g.taps() * group_c, tap(group, h, w), group_k);
    });
    for_each_tap(g.kernel_w + 1, [&](std::int64_t group, std::int64_t h, std::int64_t w) {
      const Taps of = smaller_taps(w, g.kernel_w);
      kernels.sum_rows(of.count, area, tap(group, h, of.first), area, wide_tap(group, h, w));
    });
    for_each_channel(g.kernel_h + 1, [&](std::int64_t c, std::int64_t h, std::int64_t w) {
      const Taps of = smaller_taps(h, g.kernel_h);
      kernels.sum_rows(of.count, group_k, wide_tap(c / group_c, of.first, w) + c % group_c * group_k,
                       (g.kernel_w + 1) * area, larger_tap(c, h, w));
    });
  }
  // The transpose of that.
  void shrink(float* dweight) const {
    for_each_channel(g.kernel_h, [&](std::int64_t c, std::int64_t h, std::int64_t w) {
      const Taps of = larger_taps(h, g.kernel_h);
      kernels.sum_rows(of.count, group_k, larger_tap(c, of.first, w), (g.kernel_w + 1) * group_k,
                       wide_tap(c / group_c, h, w) + c % group_c * group_k);
    });
    for_each_tap(g.kernel_w, [&](std::int64_t group, std::int64_t h, std::int64_t w) {
      const Taps of = larger_taps(w, g.kernel_w);
      kernels.sum_rows(of.count, area, wide_tap(group, h, of.first), area, tap(group, h, w));
      kernels.transpose(group_c, group_k, tap(group, h, w), group_k, dweight + place(group, h, w), g.taps() * group_c);
    });
  }
  // Of a tap in the weight [K,kernel_h,kernel_w,C/groups].
  std::int64_t place(std::int64_t group, std::int64_t h, std::int64_t w) const {
    return (group * group_k * g.taps() + h * g.kernel_w + w) * group_c;
  }
};

}  // namespace

ConvGeometry enlarged_geometry(const ConvGeometry& g) {
  ConvGeometry large = g;
  large.H = g.OH, large.W = g.OW, large.C = g.K;
  large.OH = g.H / 2, large.OW = g.W / 2, large.K = g.C;
  large.kernel_h = g.kernel_h + 1, large.kernel_w = g.kernel_w + 1;
  large.stride_h = large.stride_w = 2;
  large.pad_top = g.kernel_h - 1 - g.pad_top;
  large.pad_left = g.kernel_w - 1 - g.pad_left;
  return large;
}

void forward_enlarged(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* weight,
                      float* y, const GemmEpilogue& epilogue) {
  const Weights weights{run, g};
  weights.enlarge(weight);
  input_gradient(run, enlarged_geometry(g), x, weights.larger_tap(0, 0, 0), y, epilogue);
}

void input_gradient_enlarged(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight,
                             JoinedChannels<float> dx) {
  const Weights weights{run, g};
  weights.enlarge(weight);
  forward(run, enlarged_geometry(g), dy, weights.larger_tap(0, 0, 0), dx);
}

void weight_gradient_enlarged(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x,
                              const float* dy, float* dweight) {
  const Weights weights{run, g};
  ConvGeometry large = enlarged_geometry(g);
  for (const auto& [pixels, apart, first, channels] : x.parts(g.C)) {
    large.K = channels;
    weight_gradient(run, large, dy, pixels, weights.larger_tap(first, 0, 0));
  }
  weights.shrink(dweight);
}

}  // namespace gesso::convolution
