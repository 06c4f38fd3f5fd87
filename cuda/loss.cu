#include "cuda/elementwise_kernel.h"
#include "cuda/logistic.h"
#include "cuda/loss.h"

namespace gesso::cuda {
namespace {

// What depends on a - b alone: F::of(d) and F::slope(d), its derivative; all of them are even.
template <class F>
struct OfDifference {
  static __device__ float value(float a, float b, float parameter) { return F::of(a - b, parameter); }
  static __device__ float to_first(float a, float b, float parameter) { return F::slope(a - b, parameter); }
  static __device__ float to_second(float a, float b, float parameter) { return F::slope(b - a, parameter); }
};
struct Mse : OfDifference<Mse> {
  static __device__ float of(float d, float) { return d * d; }
  static __device__ float slope(float d, float) { return d + d; }
};
struct L1 : OfDifference<L1> {
  static __device__ float of(float d, float) { return fabsf(d); }
  static __device__ float slope(float d, float) { return d > 0.0f ? 1.0f : d < 0.0f ? -1.0f : d; }  // NaN stays
};
struct Huber : OfDifference<Huber> {
  static __device__ float of(float d, float delta) {
    const float size = fabsf(d);
    return delta < size ? delta * (size - 0.5f * delta) : 0.5f * d * d;
  }
  static __device__ float slope(float d, float delta) { return d < -delta ? -delta : delta < d ? delta : d; }
};
struct BinaryCrossEntropy {
  static __device__ float value(float x, float target, float) {
    return (x < 0.0f ? 0.0f : x) - x * target + log1pf(expf(-fabsf(x)));
  }
  static __device__ float to_first(float x, float target, float) { return logistic(x) - target; }
  static __device__ float to_second(float x, float, float) { return -x; }
};
// The parameter is the sign: 1 of real pictures, -1 of generated ones.
struct Hinge {
  static __device__ float value(float score, float, float sign) {
    const float missing = 1.0f - sign * score;
    return missing < 0.0f ? 0.0f : missing;  // NaN stays
  }
  static __device__ float to_first(float score, float, float sign) {
    const float missing = 1.0f - sign * score;
    return missing > 0.0f ? -sign : missing <= 0.0f ? 0.0f : missing;  // NaN stays
  }
};
struct GaussianKl {
  static __device__ float limited(float logvar) { return logvar < -30.0f ? -30.0f : logvar > 20.0f ? 20.0f : logvar; }
  static __device__ float value(float mean, float logvar, float) {
    const float l = limited(logvar);
    return 0.5f * (mean * mean + expf(l) - 1.0f - l);
  }
  static __device__ float to_first(float mean, float, float) { return mean; }
  static __device__ float to_second(float, float logvar, float) {
    if (isnan(logvar)) return logvar;
    return limited(logvar) == logvar ? 0.5f * (expf(logvar) - 1.0f) : 0.0f;
  }
};

template <class F>
struct Value {
  float parameter;
  __device__ float operator()(float a, float b) const { return F::value(a, b, parameter); }
};
template <float (*derivative)(float, float, float)>
struct Gradient {
  LossSlope slope;
  __device__ float operator()(float a, float b, float dy) const {
    return derivative(a, b, slope.parameter) * (dy / slope.terms);
  }
};

template <class F>
void value(cu::Stream stream, float parameter, const Map2& map) {
  run_elementwise(stream, Value<F>{parameter}, map);
}
template <float (*derivative)(float, float, float)>
void gradient(cu::Stream stream, LossSlope slope, const Map3& map) {
  run_elementwise(stream, Gradient<derivative>{slope}, map);
}

template <class F>
constexpr LossKernel kernel() {
  if constexpr (requires { &F::to_second; })
    return {.value = value<F>, .gradient = {gradient<&F::to_first>, gradient<&F::to_second>}};
  else
    return {.value = value<F>, .gradient = {gradient<&F::to_first>, nullptr}};
}

}  // namespace

template <>
const LossKernels& loss_kernels<cu::Build>() {
  static constexpr LossKernels table = {.mse = kernel<Mse>(),
                                        .l1 = kernel<L1>(),
                                        .huber = kernel<Huber>(),
                                        .binary_cross_entropy_with_logits = kernel<BinaryCrossEntropy>(),
                                        .hinge = kernel<Hinge>(),
                                        .gaussian_kl = kernel<GaussianKl>()};
  return table;
}

}  // namespace gesso::cuda
