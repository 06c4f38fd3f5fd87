#include "cuda/cast.h"

#include "cuda/entry.h"
#include "ops/cast.h"

namespace gesso::cuda {
namespace {

TableByDevice<CastKernels> tables;

void convert(const Execution& run, const Tensor& x, double scale, double shift, const Tensor& y) {
  const auto kernel = tables.of(run).convert[static_cast<std::size_t>(x.dtype())][static_cast<std::size_t>(y.dtype())];
  kernel(stream_of(run), {x.count(), scale, shift, x.bytes(), y.bytes()});
}

void forward(const Attributes& attrs, const Forward& f) {
  const auto cast = attrs.as<ops::CastAttrs>();
  convert(f.run, f.in[0], cast.scale, cast.shift, f.out[0]);
}
void backward(const Attributes& attrs, const Backward& b) {
  if (b.dx[0]) convert(b.run, b.dy[0], attrs.as<ops::CastAttrs>().scale, 0, b.dx[0]);  // else x holds whole numbers
}

}  // namespace

void register_cast(DeviceKind device, const CastKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "cast", {forward, backward});
}

}  // namespace gesso::cuda
