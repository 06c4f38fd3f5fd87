// Joining what the threads of a warp or a block hold, in an order that never changes. Included by .cu files.
#pragma once

#include "cuda/cu.h"

namespace gesso::cuda {
namespace {

constexpr int kWarp = 32;

struct Plus {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
// NaN where one is NaN.
struct Larger {
  __device__ __forceinline__ float operator()(float a, float b) const { return b != b || a < b ? b : a; }
};

// The join of a whole warp's values, the same bits in each lane. join(a, b) is join(b, a).
template <class Join, class T>
__device__ __forceinline__ T warp_join(T value, Join join = {}) {
  CU_UNROLL
  for (int apart = kWarp / 2; apart > 0; apart /= 2) value = join(value, __shfl_xor_sync(0xFFFFFFFFu, value, apart));
  return value;
}

// The join of a whole block's values, in each thread. nothing: what changes no value that it is joined with.
template <int kThreads, class Join, class T>
__device__ __forceinline__ T block_join(T value, T nothing, Join join = {}) {
  static_assert(kThreads % kWarp == 0 && kThreads <= kWarp * kWarp);
  constexpr int kWarps = kThreads / kWarp;
  CU_SHARED(T, of_warp, [kWarps]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  value = warp_join(value, join);
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  value = warp_join(lane < kWarps ? of_warp[lane] : nothing, join);
  __syncthreads();  // of_warp may be written again
  return value;
}

template <int kThreads, class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_join<kThreads, Plus>(value, T{0});
}

}  // namespace
}  // namespace gesso::cuda
