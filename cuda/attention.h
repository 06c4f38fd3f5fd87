// Kernels of attention in blocks: no matrix of all scores exists (Dao et al. 2022, "FlashAttention").
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

struct AttentionExtent {
  std::int64_t samples, heads, tokens, head_dim;
  float scale;  // of the scores
  bool causal;
  bool in_vectors = false;  // 16 bytes at a time: addresses and head_dim allow it
};

// qkv and dqkv [samples,tokens,(q,k,v),heads,head_dim], y and dy [samples,tokens,heads,head_dim]; log_sum, delta
// [samples,heads,tokens]. delta = sum(dy y) - dlog_sum of each row; dy and dlog_sum are 0 where absent.
struct AttentionForward {
  const float* qkv;
  float *y, *log_sum;
};
struct AttentionDelta {
  const float *y, *dy, *dlog_sum;
  float* delta;
};
struct AttentionBackward {
  const float *qkv, *log_sum, *delta, *dy;
  float* dqkv;
};
struct AttentionKernels {
  void (*forward)(cu::Stream stream, const AttentionExtent& e, const AttentionForward& of);
  void (*delta)(cu::Stream stream, const AttentionExtent& e, const AttentionDelta& of);
  void (*queries)(cu::Stream stream, const AttentionExtent& e, const AttentionBackward& of);          // dq
  void (*keys_and_values)(cu::Stream stream, const AttentionExtent& e, const AttentionBackward& of);  // dk, dv
};
template <class Build>
const AttentionKernels& attention_kernels();

void register_attention(DeviceKind device, const AttentionKernels& kernels);

}  // namespace gesso::cuda
