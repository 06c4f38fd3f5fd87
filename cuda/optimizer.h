// Kernels of the optimisers: one pass over the flat arenas, decided on the device.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// What the attributes say, and the three numbers of the step that lie on the device.
struct OptimizerRule {
  double beta1 = 0, beta2 = 0, eps = 0;  // adamw
  double momentum = 0;                   // sgd
  double weight_decay = 0, clip_norm = 0, ema_decay = 0;
  bool decoupled = false, ema_warmup = false;
  std::int64_t decayed = 0;  // the first so many weights decay
  const std::int64_t* step = nullptr;
  const float *learning_rate = nullptr, *norm = nullptr;
};
// What a step does to every weight alike.
struct OptimizerFactors {
  bool updates;    // the norm is finite
  float gradient;  // of clipping
  float l2;        // of a weight that decays, added to its gradient
  float shrink;    // of a weight that decays: decoupled decay
  float beta1, beta2, eps, m_share, v_share;
  float momentum;
  float rate;  // adamw: learning rate / (1 - beta1^t)
  float root;  // 1 / sqrt(1 - beta2^t)
  float ema_share;
};
struct Arenas {
  std::int64_t n = 0, decayed = 0;
  const float* gradient = nullptr;
  float* weights = nullptr;
  float *m = nullptr, *v = nullptr;  // adamw
  float* velocity = nullptr;         // sgd; null without momentum
  float* ema = nullptr;              // null where none is kept
  bool in_vectors = false;           // all arenas take accesses of four at once
};
struct OptimizerKernels {
  void (*decide)(cu::Stream stream, const OptimizerRule& rule, OptimizerFactors* factors);
  void (*adamw)(cu::Stream stream, const OptimizerFactors* factors, const Arenas& arenas);
  void (*sgd)(cu::Stream stream, const OptimizerFactors* factors, const Arenas& arenas);
};
template <class Build>
const OptimizerKernels& optimizer_kernels();

void register_optimizer(DeviceKind device, const OptimizerKernels& kernels);

}  // namespace gesso::cuda
