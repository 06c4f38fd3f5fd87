#include "cuda/where.h"

#include "cuda/entry.h"
#include "cuda/reduce_axes.h"
#include "cuda/stretch.h"

namespace gesso::cuda {
namespace {

TableByDevice<WhereKernels> tables;

void forward(const Attributes&, const Forward& f) {
  const auto map = elementwise_of<float, std::uint8_t, float, float>(f.out[0], f.in[0], f.in[1], f.in[2]);
  tables.of(f.run).choose(stream_of(f.run), map);
}

void backward(const Attributes&, const Backward& b) {
  for (const std::size_t which : {1u, 2u}) {
    const auto kernel = which == 1 ? tables.of(b.run).where_nonzero : tables.of(b.run).where_zero;
    write_summed(b.run, b.dy[0].spec(), b.dx[which], [&](const Tensor& terms) {
      kernel(stream_of(b.run), elementwise_of<float, std::uint8_t, float>(terms, b.in[0], b.dy[0]));
    });
  }
}

}  // namespace

void register_where(DeviceKind device, const WhereKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "where", {forward, backward});
}

}  // namespace gesso::cuda
