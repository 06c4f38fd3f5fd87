#include "cuda/cu_ptx.h"
#include "cuda/emulator/costs.h"

namespace gesso::emulator {
namespace {

__global__ void empty_kernel() {}

__global__ void axpy_kernel(const float* x, float* y) {
  const unsigned i = blockIdx.x * kCostBlock + threadIdx.x;
  y[i] += 2.0f * x[i];
}

__global__ void barrier_kernel(int count) {
  for (int i = 0; i < count; ++i) __syncthreads();
}

__global__ void shuffle_kernel(int count, float* y) {
  float value = 1.0f;
  for (int i = 0; i < count; ++i) value += __shfl_xor_sync(0xffffffffu, value, 1 + i % 16);
  y[threadIdx.x] = value;
}

__global__ void mma_kernel(int count, float* y) {
  const std::uint32_t a[4] = {1, 2, 3, 4};
  float sums[4] = {};
  for (int i = 0; i < count; ++i) cu::mma_bf16(sums, a, 5, 6);
  y[threadIdx.x] = sums[0];
}

cu::LaunchConfig blocks_of(int blocks, cu::Stream stream) {
  return {.grid = dim3(static_cast<unsigned>(blocks)), .block = dim3(kCostBlock), .stream = stream};
}

}  // namespace

void run_empty(cu::Stream stream, int blocks) { cu::launch(blocks_of(blocks, stream), empty_kernel); }
void run_axpy(cu::Stream stream, int blocks, const float* x, float* y) {
  cu::launch(blocks_of(blocks, stream), axpy_kernel, x, y);
}
void run_barriers(cu::Stream stream, int count) { cu::launch(blocks_of(1, stream), barrier_kernel, count); }
void run_shuffles(cu::Stream stream, int count, float* y) {
  cu::launch(blocks_of(1, stream), shuffle_kernel, count, y);
}
void run_mma(cu::Stream stream, int count, float* y) { cu::launch(blocks_of(1, stream), mma_kernel, count, y); }

}  // namespace gesso::emulator
