// Inner loops of ops/optimizer.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// What a step does to every weight alike; ops/optimizer.cpp says how each follows from the attributes.
struct AdamwFactors {
  float gradient;  // of clipping
  float l2;        // of the weight, added to the gradient
  float shrink;    // of the weight: decoupled decay
  float beta1, beta2, eps;
  float m_share, v_share;  // 1 - beta
  float rate;              // learning rate / (1 - beta1^t)
  float root;              // 1 / sqrt(1 - beta2^t)
  float ema_share;         // 1 - decay
};
struct SgdFactors {
  float gradient, l2, momentum, rate, ema_share;
};
struct OptimizerKernels {
  // The sum of x^2: in double, where a square of floats is exact, and in the same order on every instruction set.
  double (*square_sum)(int64_t n, const float* x);
  // ema: null where none is kept.
  void (*adamw)(int64_t n, const AdamwFactors& by, const float* gradient, float* weights, float* m, float* v,
                float* ema);
  // velocity: null without momentum.
  void (*sgd)(int64_t n, const SgdFactors& by, const float* gradient, float* weights, float* velocity, float* ema);
};
template <class Tag>
const OptimizerKernels& optimizer_kernels();

}  // namespace gesso
