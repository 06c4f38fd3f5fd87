#include "ops/optimizer_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

double square_sum(int64_t n, const float* x) {
  constexpr int64_t kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(x[i + s]) * static_cast<double>(x[i + s]);
  for (int64_t s = 0; i + s < n; ++s) sums[s] += static_cast<double>(x[i + s]) * static_cast<double>(x[i + s]);
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

[[gnu::always_inline]] inline void follow(float* ema, int64_t count, V weights, float share) {
  const V old = V::load(ema, count);
  fma(weights - old, share, old).store(ema, count);
}

void adamw(int64_t n, const AdamwFactors& factors, const float* gradient, float* weights, float* m, float* v,
           float* ema) {
  const AdamwFactors by = factors;  // a copy that no store can change, so it stays in registers
  simd::for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const V w = V::load(weights + i, count);
        const V g = fma(w, by.l2, V::load(gradient + i, count) * by.gradient);
        const V first = fma(V::load(m + i, count), by.beta1, g * by.m_share);
        const V second = fma(V::load(v + i, count), by.beta2, g * g * by.v_share);
        const V moved = w * by.shrink - first * by.rate / fma(sqrt(second), by.root, by.eps);
        first.store(m + i, count);
        second.store(v + i, count);
        moved.store(weights + i, count);
        if (ema) follow(ema + i, count, moved, by.ema_share);
      });
}

void sgd(int64_t n, const SgdFactors& factors, const float* gradient, float* weights, float* velocity, float* ema) {
  const SgdFactors by = factors;
  simd::for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const V w = V::load(weights + i, count);
        V g = fma(w, by.l2, V::load(gradient + i, count) * by.gradient);
        if (velocity) {
          g = fma(V::load(velocity + i, count), by.momentum, g);
          g.store(velocity + i, count);
        }
        const V moved = w - g * by.rate;
        moved.store(weights + i, count);
        if (ema) follow(ema + i, count, moved, by.ema_share);
      });
}

}  // namespace

template <>
const OptimizerKernels& optimizer_kernels<Tag>() {
  static constexpr OptimizerKernels table = {.square_sum = square_sum, .adamw = adamw, .sgd = sgd};
  return table;
}

}  // namespace gesso
