// Inner loops of ops/cross_entropy.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// One row of n logits: the target is `rest` of every class, and `share` more of the label's.
struct SmoothedLabel {
  int64_t label;
  float share, rest;
};
struct CrossEntropyKernels {
  // -sum_k q_k ln softmax(x)_k
  double (*loss)(int64_t n, const float* x, SmoothedLabel q);
  // y = scale (softmax(x) - q)
  void (*gradient)(int64_t n, float scale, const float* x, SmoothedLabel q, float* y);
};
template <class Tag>
const CrossEntropyKernels& cross_entropy_kernels();

}  // namespace gesso
