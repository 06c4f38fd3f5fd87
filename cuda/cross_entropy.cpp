#include "cuda/cross_entropy.h"

#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "ops/cross_entropy.h"

namespace gesso::cuda {
namespace {

TableByDevice<CrossEntropyKernels> tables;

SmoothedClasses classes_of(const Attributes& attrs, std::span<const Tensor> in) {
  const double smoothing = attrs.as<ops::CrossEntropyAttrs>().label_smoothing;
  const std::int64_t classes = in[0].dim(-1);
  return {in[1].count(),
          classes,
          pointer<float>(in[0]),
          pointer<std::int32_t>(in[1]),
          static_cast<float>(1 - smoothing),
          static_cast<float>(smoothing / static_cast<double>(classes))};
}

void forward(const Attributes& attrs, const Forward& f) {
  const SmoothedClasses classes = classes_of(attrs, f.in);
  const Tensor losses = f.run.scratch({{classes.rows}, DType::f32});
  tables.of(f.run).losses(stream_of(f.run), classes, pointer<float>(losses));
  sum_axes(f.run, losses, axes(0), 1 / static_cast<double>(classes.rows), f.out[0]);
}

void backward(const Attributes& attrs, const Backward& b) {
  tables.of(b.run).gradient(stream_of(b.run), classes_of(attrs, b.in), pointer<float>(b.dy[0]),
                            pointer<float>(b.dx[0]));
}

}  // namespace

void register_cross_entropy(DeviceKind device, const CrossEntropyKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "cross_entropy", {forward, backward});
}

}  // namespace gesso::cuda
