#include "cuda/copy.h"
#include "cuda/elementwise_kernel.h"

namespace gesso::cuda {
namespace {

struct Value {
  float value;
  __device__ float operator()() const { return value; }
};
struct Copy {
  __device__ float operator()(float x) const { return x; }
};
struct CopyIfFinite {
  __device__ float operator()(float before, float x, float gate) const { return isfinite(gate) ? x : before; }
};

void fill(cu::Stream stream, float value, const Map0& map) { run_elementwise(stream, Value{value}, map); }
void copy(cu::Stream stream, const Map1& map) { run_elementwise(stream, Copy{}, map); }
void copy_if_finite(cu::Stream stream, const Map3& map) { run_elementwise(stream, CopyIfFinite{}, map); }

}  // namespace

template <>
const CopyKernels& copy_kernels<cu::Build>() {
  static constexpr CopyKernels table = {.fill = fill, .copy = copy, .copy_if_finite = copy_if_finite};
  return table;
}

}  // namespace gesso::cuda
