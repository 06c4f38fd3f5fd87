#include "cuda/attention.h"

#include <cmath>

#include "cuda/elementwise.h"
#include "cuda/entry.h"
#include "ops/attention.h"

namespace gesso::cuda {
namespace {

TableByDevice<AttentionKernels> tables;

AttentionExtent extent_of(const Attributes& attributes, const Tensor& qkv,
                          std::initializer_list<const float*> addresses) {
  const auto attrs = attributes.as<ops::AttentionAttrs>();
  AttentionExtent e{.samples = qkv.dim(0),
                    .heads = attrs.heads,
                    .tokens = qkv.dim(1),
                    .head_dim = qkv.dim(2) / (3 * attrs.heads),
                    .scale = attrs.scale,
                    .causal = attrs.causal};
  if (e.scale == 0) e.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(e.head_dim)));
  e.in_vectors = e.head_dim % kVector == 0;
  for (const float* address : addresses) e.in_vectors = e.in_vectors && vectors_at(address);
  return e;
}

void forward(const Attributes& attrs, const Forward& f) {
  const AttentionForward of{pointer<float>(f.in[0]), pointer<float>(f.out[0]), pointer<float>(f.out[1])};
  tables.of(f.run).forward(stream_of(f.run), extent_of(attrs, f.in[0], {of.qkv}), of);
}

void backward(const Attributes& attrs, const Backward& b) {
  const AttentionKernels& kernels = tables.of(b.run);
  const cu::Stream stream = stream_of(b.run);
  const Tensor delta = b.run.scratch(b.out[1].spec());
  const AttentionBackward of{pointer<float>(b.in[0]), pointer<float>(b.out[1]), pointer<float>(delta),
                             pointer<float>(b.dy[0]), pointer<float>(b.dx[0])};
  const AttentionExtent e = extent_of(attrs, b.in[0], {of.qkv, of.dy});
  kernels.delta(stream, e,
                {.y = pointer<float>(b.out[0]),
                 .dy = of.dy,
                 .dlog_sum = pointer<float>(b.dy[1]),
                 .delta = pointer<float>(delta)});
  kernels.queries(stream, e, of);
  kernels.keys_and_values(stream, e, of);
}

}  // namespace

void register_attention(DeviceKind device, const AttentionKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "attention", {forward, backward});
}

}  // namespace gesso::cuda
