#include "ops/batch_norm.h"

#include "cuda/channel_norm_entry.h"

namespace gesso::cuda {
namespace {

TableByDevice<ChannelNormKernels> tables;

// Operands and results in their order.
enum Input : std::size_t { kX, kWeight, kBias, kRunningMean, kRunningVariance };
enum Output : std::size_t { kY, kMean, kVariance, kNewMean, kNewVariance };

void forward(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::BatchNormAttrs>();
  const ChannelNormKernels& kernels = tables.of(f.run);
  const cu::Stream stream = stream_of(f.run);
  const Shape& shape = f.in[kX].shape();
  const auto in = [&](Input i) { return pointer<float>(f.in[i]); };
  const auto out = [&](Output i) { return pointer<float>(f.out[i]); };
  const ChannelExtent e = channel_extent(shape, 1, shape.back(), {in(kX), out(kY)});
  const Tensor rstd_tensor = f.run.scratch({{e.channels}, DType::f32});
  float* rstd = pointer<float>(rstd_tensor);
  if (attrs.train) {
    const ChannelParts parts(f.run, e);
    kernels.moments(stream, e, in(kX), parts.moments());
    kernels.batch_statistics(stream, e, parts.moments(),
                             {.eps = attrs.eps,
                              .momentum = attrs.momentum,
                              .old_mean = in(kRunningMean),
                              .old_variance = in(kRunningVariance),
                              .mean = out(kMean),
                              .variance = out(kVariance),
                              .rstd = rstd,
                              .new_mean = out(kNewMean),
                              .new_variance = out(kNewVariance)});
  } else {
    kernels.rstd(stream, e.channels, in(kRunningVariance), attrs.eps, rstd);
  }
  const float* mean = attrs.train ? out(kMean) : in(kRunningMean);
  kernels.apply(stream, e, {mean, rstd, in(kWeight), in(kBias), false}, in(kX), out(kY));
}

void backward(const Attributes& attributes, const Backward& b) {
  const auto attrs = attributes.as<ops::BatchNormAttrs>();
  const ChannelNormKernels& kernels = tables.of(b.run);
  const cu::Stream stream = stream_of(b.run);
  const Tensor& x = b.in[kX];
  const Tensor dy_tensor = b.dy[kY] ? b.dy[kY] : Tensor::zeros(x.spec(), b.run.device);
  const float *from = pointer<float>(x), *dy = pointer<float>(dy_tensor), *weight = pointer<float>(b.in[kWeight]);
  float* dx = pointer<float>(b.dx[kX]);
  const ChannelExtent e = channel_extent(x.shape(), 1, x.dim(-1), {from, dy, dx});

  const Tensor rows = b.run.scratch({{3, e.channels}, DType::f32});
  float *rstd = pointer<float>(rows), *slope = rstd + e.channels, *shift = slope + e.channels;
  const Tensor &mean = attrs.train ? b.out[kMean] : b.in[kRunningMean],
               &variance = attrs.train ? b.out[kVariance] : b.in[kRunningVariance];
  kernels.rstd(stream, e.channels, pointer<float>(variance), attrs.eps, rstd);
  const ChannelNorm norm{pointer<float>(mean), rstd, weight, nullptr, false};
  const ChannelParts parts(b.run, e);
  kernels.sums(stream, e, norm, from, dy, parts.sums());
  write_gradients(b.run, parts, b.dx[kWeight], b.dx[kBias]);
  if (!b.dx[kX]) return;
  const auto of_result = [&](Output i) { return pointer<float>(b.dy[i]); };
  if (attrs.train)
    kernels.batch_slopes(stream, e, weight, parts.sums(),
                         {.momentum = attrs.momentum,
                          .rstd = rstd,
                          .dmean = of_result(kMean),
                          .dvariance = of_result(kVariance),
                          .dnew_mean = of_result(kNewMean),
                          .dnew_variance = of_result(kNewVariance),
                          .slope = slope,
                          .shift = shift});
  kernels.gradient(stream, e, norm, attrs.train ? slope : nullptr, shift, from, dy, dx);
}

}  // namespace

void register_batch_norm(DeviceKind device, const ChannelNormKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "batch_norm", {forward, backward});
}

}  // namespace gesso::cuda
