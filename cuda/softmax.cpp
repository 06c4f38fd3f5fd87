#include "cuda/softmax.h"

#include "cuda/entry.h"

namespace gesso::cuda {
namespace {

TableByDevice<SoftmaxKernels> tables;

template <SoftmaxFunction SoftmaxKernels::*function>
void forward(const Attributes&, const Forward& f) {
  const Tensor& y = f.out[0];
  if (y.count() == 0) return;
  const std::int64_t K = y.dim(-1);
  (tables.of(f.run).*function)
      .forward(stream_of(f.run), {y.count() / K, K, pointer<float>(f.in[0]), pointer<float>(y)});
}
template <SoftmaxFunction SoftmaxKernels::*function>
void backward(const Attributes&, const Backward& b) {
  const Tensor& dx = b.dx[0];
  if (dx.count() == 0) return;
  const std::int64_t K = dx.dim(-1);
  (tables.of(b.run).*function)
      .backward(stream_of(b.run),
                {dx.count() / K, K, pointer<float>(b.out[0]), pointer<float>(b.dy[0]), pointer<float>(dx)});
}
template <SoftmaxFunction SoftmaxKernels::*function>
constexpr Kernels kKernels = {forward<function>, backward<function>};

}  // namespace

void register_softmax(DeviceKind device, const SoftmaxKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "softmax", kKernels<&SoftmaxKernels::softmax>);
  register_kernels(device, "log_softmax", kKernels<&SoftmaxKernels::log_softmax>);
}

}  // namespace gesso::cuda
