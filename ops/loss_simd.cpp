#include "ops/loss_simd.h"

#include "core/simd_math.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// What depends on a - b alone: F::of(d) and F::slope(d), its derivative.
template <class F>
struct OfDifference {
  static V value(V a, V b, V parameter) { return F::of(a - b, parameter); }
  static V to_first(V a, V b, V parameter) { return F::slope(a - b, parameter); }
  static V to_second(V a, V b, V parameter) { return F::slope(b - a, parameter); }  // all of them are even
};
struct Mse : OfDifference<Mse> {
  static V of(V d, V) { return d * d; }
  static V slope(V d, V) { return d + d; }
};
struct L1 : OfDifference<L1> {
  static V of(V d, V) { return abs(d); }
  static V slope(V d, V) { return select(V(0.0f) < d, V(1.0f), select(d < V(0.0f), V(-1.0f), d)); }  // NaN stays
};
struct Huber : OfDifference<Huber> {
  static V of(V d, V delta) {
    const V size = abs(d);
    return select(delta < size, delta * (size - delta * 0.5f), d * d * 0.5f);
  }
  static V slope(V d, V delta) { return max(-delta, min(delta, d)); }
};
struct BinaryCrossEntropy {
  static V value(V x, V target, V) { return max(V(0.0f), x) - x * target + softplus_above_relu(x); }
  static V to_first(V x, V target, V) { return sigmoid(x) - target; }
  static V to_second(V x, V, V) { return -x; }
};
// The parameter is the sign: 1 of real pictures, -1 of generated ones.
struct Hinge {
  static V value(V score, V, V sign) { return max(V(0.0f), V(1.0f) - sign * score); }
  static V to_first(V score, V, V sign) {
    const V missing = V(1.0f) - sign * score;
    return select(V(0.0f) < missing, -sign, select(missing == missing, V(0.0f), missing));  // NaN stays
  }
};
struct GaussianKl {
  static V limited(V logvar) { return min(V(20.0f), max(V(-30.0f), logvar)); }
  static V value(V mean, V logvar, V) {
    const V l = limited(logvar);
    return (mean * mean + exp(l) - 1.0f - l) * 0.5f;
  }
  static V to_first(V mean, V, V) { return mean; }
  static V to_second(V, V logvar, V) {
    const V l = limited(logvar);
    return select(l == logvar, (exp(l) - 1.0f) * 0.5f, select(logvar == logvar, V(0.0f), logvar));  // NaN stays
  }
};

template <class F>
double sum(int64_t n, const float* a, const float* b, float parameter) {
  constexpr int64_t kSums = 16;
  double sums[kSums] = {};
  const V p = parameter;
  for (int64_t i = 0; i < n; i += kSums) {
    const int64_t count = n - i < kSums ? n - i : kSums;
    float losses[kSums] = {};
    simd::map<Tag>(
        count, [=](V x, V y) __attribute__((always_inline)) { return F::value(x, y, p); }, losses, a + i, b + i);
    for (int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(losses[s]);
  }
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

template <V (*derivative)(V, V, V)>
void gradient(int64_t n, float scale, const float* a, const float* b, float parameter, float* d) {
  const V p = parameter;
  simd::map<Tag>(
      n, [=](V x, V y) __attribute__((always_inline)) { return derivative(x, y, p) * scale; }, d, a, b);
}

template <class F>
constexpr LossKernel kernel() {
  if constexpr (requires { &F::to_second; })
    return {.sum = sum<F>, .gradient = {gradient<&F::to_first>, gradient<&F::to_second>}};
  else
    return {.sum = sum<F>, .gradient = {gradient<&F::to_first>, nullptr}};
}

}  // namespace

template <>
const LossKernels& loss_kernels<Tag>() {
  static constexpr LossKernels table = {.mse = kernel<Mse>(),
                                        .l1 = kernel<L1>(),
                                        .huber = kernel<Huber>(),
                                        .binary_cross_entropy_with_logits = kernel<BinaryCrossEntropy>(),
                                        .hinge = kernel<Hinge>(),
                                        .gaussian_kl = kernel<GaussianKl>()};
  return table;
}

}  // namespace gesso
