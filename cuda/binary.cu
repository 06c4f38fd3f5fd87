#include "cuda/binary.h"
#include "cuda/block.h"
#include "cuda/elementwise_kernel.h"

namespace gesso::cuda {
namespace {

struct Scale {
  float factor;
  __device__ float operator()(float x) const { return factor * x; }
};
struct ScaledDifference {
  float factor;
  __device__ float operator()(float a, float b, float c) const { return factor * a * (b - c); }
};
struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Sub {
  __device__ float operator()(float a, float b) const { return a - b; }
};
struct Mul {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct Div {
  __device__ float operator()(float a, float b) const { return a / b; }
};
// NaN where one is NaN, as Larger.
struct Smaller {
  __device__ float operator()(float a, float b) const { return b != b || b < a ? b : a; }
};
struct SlopeOfDivisor {
  __device__ float operator()(float dy, float a, float b) const { return -(dy * a / b / b); }
};
struct ShareOfLarger {
  __device__ float operator()(float dy, float a, float b) const { return b < a ? dy : a == b ? 0.5f * dy : 0.0f; }
};
struct ShareOfSmaller {
  __device__ float operator()(float dy, float a, float b) const { return a < b ? dy : a == b ? 0.5f * dy : 0.0f; }
};

template <class F, class Map>
void run(cu::Stream stream, const Map& map) {
  run_elementwise(stream, F{}, map);
}

void scale(cu::Stream stream, float factor, const Map1& map) { run_elementwise(stream, Scale{factor}, map); }

void scaled_difference(cu::Stream stream, float factor, const Map3& map) {
  run_elementwise(stream, ScaledDifference{factor}, map);
}

}  // namespace

template <>
const BinaryKernels& binary_kernels<cu::Build>() {
  static constexpr BinaryKernels table = {.scale = scale,
                                          .add = run<Add>,
                                          .sub = run<Sub>,
                                          .mul = run<Mul>,
                                          .div = run<Div>,
                                          .maximum = run<Larger>,
                                          .minimum = run<Smaller>,
                                          .scaled_difference = scaled_difference,
                                          .slope_of_divisor = run<SlopeOfDivisor>,
                                          .share_of_larger = run<ShareOfLarger>,
                                          .share_of_smaller = run<ShareOfSmaller>};
  return table;
}

}  // namespace gesso::cuda
