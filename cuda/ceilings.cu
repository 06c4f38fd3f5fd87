#include "cuda/ceilings.h"
#include "cuda/cu.h"

namespace gesso::cuda {
namespace {

constexpr int kVectors = 4;  // of 16 bytes, on their way at once in each thread
constexpr int kBlockVectors = kCeilingThreads * kVectors;

// Chains of one warp and those of others hide a multiply-add's latency.
__global__ void __launch_bounds__(kCeilingThreads) multiply_add_loop(int rounds, float* y) {
  float chains[kMultiplyAddChains];
  CU_UNROLL
  for (int i = 0; i < kMultiplyAddChains; ++i) chains[i] = static_cast<float>(i);
  for (int round = 0; round < rounds; ++round) {
    CU_UNROLL
    for (int step = 0; step < kMultiplyAddSteps; ++step) {
      CU_UNROLL
      for (int i = 0; i < kMultiplyAddChains; ++i) chains[i] = fmaf(chains[i], 0.999f, 1e-3f);
    }
  }
  float sum = 0;
  CU_UNROLL
  for (int i = 0; i < kMultiplyAddChains; ++i) sum += chains[i];
  y[static_cast<std::int64_t>(blockIdx.x) * kCeilingThreads + threadIdx.x] = sum;
}

__global__ void __launch_bounds__(kCeilingThreads) copy_vectors(std::int64_t count, const float4* x, float4* y) {
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kBlockVectors + threadIdx.x;
  float4 values[kVectors];
  CU_UNROLL
  for (int i = 0; i < kVectors; ++i)
    if (first + i * kCeilingThreads < count) values[i] = cu::load_as<float4>(x + first + i * kCeilingThreads);
  CU_UNROLL
  for (int i = 0; i < kVectors; ++i)
    if (first + i * kCeilingThreads < count) cu::store_as(y + first + i * kCeilingThreads, values[i]);
}

void multiply_add(cu::Stream stream, const MultiplyAddLoop& loop) {
  cu::launch({.grid = dim3(static_cast<unsigned>(loop.blocks)), .block = dim3(kCeilingThreads), .stream = stream},
             multiply_add_loop, loop.rounds, loop.y);
}

void copy(cu::Stream stream, std::int64_t n, const float* x, float* y) {
  const std::int64_t count = n / 4, blocks = (count + kBlockVectors - 1) / kBlockVectors;
  if (blocks == 0) return;
  cu::launch({.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(kCeilingThreads), .stream = stream},
             copy_vectors, count, reinterpret_cast<const float4*>(x), reinterpret_cast<float4*>(y));
}

}  // namespace

template <>
const CeilingKernels& ceiling_kernels<cu::Build>() {
  static constexpr CeilingKernels table = {.multiply_add = multiply_add, .copy = copy};
  return table;
}

}  // namespace gesso::cuda
