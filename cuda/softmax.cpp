#include "cuda/softmax.h"

#include "cuda/entry.h"

namespace gesso::cuda {
namespace {

TableByDevice<SoftmaxKernels> tables;

std::int64_t rows_of(const Tensor& t) { return t.count() == 0 ? 0 : t.count() / t.dim(-1); }

template <bool logarithm>
constexpr Kernels kOverLastAxis = {
    [](const Attributes&, const Forward& f) {
      const Tensor& y = f.out[0];
      tables.of(f.run).forward(stream_of(f.run),
                               {rows_of(y), y.dim(-1), logarithm, pointer<float>(f.in[0]), pointer<float>(y)});
    },
    [](const Attributes&, const Backward& b) {
      const Tensor& dx = b.dx[0];
      tables.of(b.run).backward(stream_of(b.run), {rows_of(dx), dx.dim(-1), logarithm, pointer<float>(b.out[0]),
                                                   pointer<float>(b.dy[0]), pointer<float>(dx)});
    }};

}  // namespace

void register_softmax(DeviceKind device, const SoftmaxKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "softmax", kOverLastAxis<false>);
  register_kernels(device, "log_softmax", kOverLastAxis<true>);
}

}  // namespace gesso::cuda
