#include "cuda/elementwise_kernel.h"
#include "cuda/where.h"

namespace gesso::cuda {
namespace {

struct Choose {
  __device__ float operator()(std::uint8_t condition, float a, float b) const { return condition != 0 ? a : b; }
};
struct WhereZero {
  __device__ float operator()(std::uint8_t condition, float x) const { return condition == 0 ? x : 0.0f; }
};
struct WhereNonzero {
  __device__ float operator()(std::uint8_t condition, float x) const { return condition != 0 ? x : 0.0f; }
};

template <class F, class Map>
void run(cu::Stream stream, const Map& map) {
  run_elementwise(stream, F{}, map);
}

}  // namespace

template <>
const WhereKernels& where_kernels<cu::Build>() {
  static constexpr WhereKernels table = {
      .choose = run<Choose>, .where_zero = run<WhereZero>, .where_nonzero = run<WhereNonzero>};
  return table;
}

}  // namespace gesso::cuda
