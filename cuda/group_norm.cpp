#include "ops/group_norm.h"

#include "cuda/channel_norm_entry.h"

namespace gesso::cuda {
namespace {

TableByDevice<ChannelNormKernels> tables;

ChannelDropout dropout_of(const ops::DropoutAttrs& attrs, const Tensor& step) {
  if (attrs.rate == 0) return {};
  return {.key = attrs.key,
          .first_sample = static_cast<std::uint64_t>(attrs.first_sample),
          .step = pointer<std::int64_t>(step),
          .rate = static_cast<float>(attrs.rate),
          .scale = static_cast<float>(1 / (1 - attrs.rate))};
}

void forward(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::GroupNormAttrs>();
  const ChannelNormKernels& kernels = tables.of(f.run);
  const cu::Stream stream = stream_of(f.run);
  const Tensor& x = f.in[0];
  const float* from = pointer<float>(x);
  float *y = pointer<float>(f.out[0]), *mean = pointer<float>(f.out[1]), *rstd = pointer<float>(f.out[2]);
  const ChannelExtent e = channel_extent(x.shape(), x.dim(0), attrs.groups, {from, y});
  const ChannelParts parts(f.run, e);
  kernels.moments(stream, e, from, parts.moments());
  kernels.group_statistics(stream, e, parts.moments(), {attrs.eps, mean, rstd});
  const ChannelNorm norm{
      mean, rstd, pointer<float>(f.in[1]), pointer<float>(f.in[2]), attrs.silu, dropout_of(attrs.dropout, f.in[3])};
  kernels.apply(stream, e, norm, from, y);
}

void backward(const Attributes& attributes, const Backward& b) {
  const auto attrs = attributes.as<ops::GroupNormAttrs>();
  const ChannelNormKernels& kernels = tables.of(b.run);
  const cu::Stream stream = stream_of(b.run);
  const Tensor& x = b.in[0];
  const Tensor dy_tensor = b.dy[0] ? b.dy[0] : Tensor::zeros(x.spec(), b.run.device);
  const float *from = pointer<float>(x), *dy = pointer<float>(dy_tensor), *weight = pointer<float>(b.in[1]);
  const ChannelNorm norm{
      pointer<float>(b.out[1]),          pointer<float>(b.out[2]), weight, pointer<float>(b.in[2]), attrs.silu,
      dropout_of(attrs.dropout, b.in[3])};
  float* dx = pointer<float>(b.dx[0]);
  const ChannelExtent e = channel_extent(x.shape(), x.dim(0), attrs.groups, {from, dy, dx});
  const ChannelParts parts(b.run, e);
  kernels.sums(stream, e, norm, from, dy, parts.sums());
  write_gradients(b.run, parts, b.dx[1], b.dx[2]);
  if (!b.dx[0]) return;
  const Tensor slopes = b.run.scratch({{2, e.samples, e.groups}, DType::f32});
  float *slope = pointer<float>(slopes), *shift = slope + e.samples * e.groups;
  kernels.group_slopes(stream, e, weight, parts.sums(),
                       {norm.rstd, pointer<float>(b.dy[1]), pointer<float>(b.dy[2]), slope, shift});
  kernels.gradient(stream, e, norm, slope, shift, from, dy, dx);
}

}  // namespace

void register_group_norm(DeviceKind device, const ChannelNormKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "group_norm", {forward, backward});
}

}  // namespace gesso::cuda
