#include "cuda/copy.h"

#include "cuda/entry.h"
#include "cuda/stretch.h"

namespace gesso::cuda {
namespace {

TableByDevice<CopyKernels> tables;

void copy(const Execution& run, const Tensor& x, const Tensor& y) {
  tables.of(run).copy(stream_of(run), elementwise_of<float, float>(y, x));
}

void straight_through(const Attributes&, const Forward& f) { copy(f.run, f.in[1], f.out[0]); }
void straight_through_backward(const Attributes&, const Backward& b) { copy(b.run, b.dy[0], b.dx[0]); }

void assign(const Attributes&, const Forward& f) {
  const Tensor &target = f.in[0], &value = f.in[1], &gate = f.in[2];
  tables.of(f.run).copy_if_finite(stream_of(f.run),
                                  elementwise_of<float, float, float, float>(target, target, value, gate));
}

}  // namespace

void register_copy(DeviceKind device, const CopyKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "straight_through", {straight_through, straight_through_backward});
  register_kernels(device, "assign", {assign, nullptr});
}

void fill_with(const Device& device, std::int64_t n, float value, float* y) {
  tables.of(device).fill(stream_of(device), value, {{.count = n, .in_vectors = vectors_at(y)}, y, {}});
}

}  // namespace gesso::cuda
