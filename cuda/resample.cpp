#include "cuda/resample.h"

#include "cuda/binary.h"
#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "cuda/unit.h"
#include "ops/resample.h"

namespace gesso::cuda {
namespace {

TableByDevice<ResampleKernels> tables;

// Each pixel of `small` [N,h,w,C] is a block of pixels of `large`.
void repeat(const Execution& run, const Tensor& small, double factor, const Tensor& large) {
  const std::int64_t N = small.dim(0), h = small.dim(1), w = small.dim(2), C = small.dim(3);
  if (large.count() == 0) return;
  scale_to(run, small.view({N, h, 1, w, 1, C}), factor, large.view({N, h, large.dim(1) / h, w, large.dim(2) / w, C}));
}
void sum_blocks(const Execution& run, const Tensor& large, double factor, const Tensor& small) {
  const std::int64_t N = small.dim(0), h = small.dim(1), w = small.dim(2), C = small.dim(3);
  if (small.count() == 0) return;
  sum_axes(run, large.view({N, h, large.dim(1) / h, w, large.dim(2) / w, C}), axes(2, 4), factor, small);
}

constexpr Kernels kUpsampleNearest = {
    [](const Attributes&, const Forward& f) { repeat(f.run, f.in[0], 1, f.out[0]); },
    [](const Attributes&, const Backward& b) { sum_blocks(b.run, b.dy[0], 1, b.dx[0]); }};

double share_of_pixel(const Attributes& attrs) {
  const auto factor = static_cast<double>(attrs.as<ops::FactorAttrs>().factor);
  return 1 / (factor * factor);
}
constexpr Kernels kAveragePool = {
    [](const Attributes& attrs, const Forward& f) { sum_blocks(f.run, f.in[0], share_of_pixel(attrs), f.out[0]); },
    [](const Attributes& attrs, const Backward& b) { repeat(b.run, b.dy[0], share_of_pixel(attrs), b.dx[0]); }};

Bilinear bilinear(const Tensor& x, const Tensor& y, const Tensor& from, const Tensor& to) {
  constexpr int kMostLanes = 32;
  const auto side = [](const Tensor& t, int axis) {
    if (t.dim(axis) > kMostPixels)
      fail("resize_bilinear: {} knows pictures of {} pixels a side at most, but one is {}; slice it first",
           t.device().name(), kMostPixels, t.spec().text());
    return static_cast<int>(t.dim(axis));
  };
  return {.pictures = x.dim(0),
          .channels = x.dim(3),
          .height = side(x, 1),
          .width = side(x, 2),
          .new_height = side(y, 1),
          .new_width = side(y, 2),
          .lanes = lanes_of(x.dim(3), kMostLanes),
          .from = pointer<float>(from),
          .to = pointer<float>(to)};
}
constexpr Kernels kResizeBilinear = {[](const Attributes&, const Forward& f) {
                                       const Tensor &x = f.in[0], &y = f.out[0];
                                       if (y.count() != 0)
                                         tables.of(f.run).forward(stream_of(f.run), bilinear(x, y, x, y));
                                     },
                                     [](const Attributes&, const Backward& b) {
                                       const Tensor &dx = b.dx[0], &dy = b.dy[0];
                                       if (dx.count() != 0)
                                         tables.of(b.run).backward(stream_of(b.run), bilinear(dx, dy, dy, dx));
                                     }};

}  // namespace

void register_resample(DeviceKind device, const ResampleKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "upsample_nearest", kUpsampleNearest);
  register_kernels(device, "average_pool", kAveragePool);
  register_kernels(device, "resize_bilinear", kResizeBilinear);
}

}  // namespace gesso::cuda
