#include "cuda/cu.h"
#include "tests/cuda/probes.h"

namespace gesso::probes {
namespace {

__global__ void add_scaled_kernel(float scale, const float* x, float* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] += scale * x[i];
}

__global__ void reverse_kernel(const float* x, float* y) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = blockIdx.x * kBlock;
  tile[t] = x[first + t];
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void reverse_warp_kernel(const float* x, float* y) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = blockIdx.x * kBlock;
  tile[t] = x[first + t];
  __syncwarp();
  y[first + t] = tile[t ^ 31];
}

__global__ void sum_kernel(const float* x, float* sums) {
  CU_SHARED(float, partial, [kBlock / 32]);
  const unsigned t = threadIdx.x;
  float sum = x[blockIdx.x * kBlock + t];
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (t % 32 == 0) partial[t / 32] = sum;
  __syncthreads();
  if (t > 0) return;
  sum = 0.0f;
  for (int warp = 0; warp < kBlock / 32; ++warp) sum += partial[warp];
  sums[blockIdx.x] = sum;
}

__global__ void count_kernel(const int* x, int* count) {
  const bool positive = x[blockIdx.x * kBlock + threadIdx.x] > 0;
  const int in_block = __syncthreads_count(positive);
  const unsigned ballot = __ballot_sync(0xffffffffu, positive);
  const int in_warps = __reduce_add_sync(0xffffffffu, threadIdx.x % 32 == 0 ? __popc(ballot) : 0);
  if (threadIdx.x % 32 == 0) atomicAdd(count, in_warps);
  if (threadIdx.x == 0 && in_block > kBlock) atomicAdd(count, -1000);
}

__global__ void shuffle_kernel(const float* x, float* y) {
  const unsigned i = blockIdx.x * kBlock + threadIdx.x;
  const float value = x[i];
  float sum = __shfl_up_sync(0xffffffffu, value, 1);
  sum += __shfl_down_sync(0xffffffffu, value, 1);
  sum += __shfl_xor_sync(0xffffffffu, value, 16);
  y[i] = sum + __shfl_sync(0xffffffffu, value, 3);
}

__global__ void write_kernel(float* y, int first) {
  const int i = static_cast<int>(blockIdx.x * kBlock + threadIdx.x);
  y[first + i] = static_cast<float>(i);
}

__global__ void divide_kernel(const int* x, int* y, int n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < static_cast<unsigned>(n)) y[i] = 100 / x[i];
}

__device__ int deeper(const int* x, int depth) {
  int local[64];
  for (int i = 0; i < 64; ++i) local[i] = depth + x[0];
  return x[0] == 0 ? depth : deeper(x, depth + 1) + local[depth % 64];
}

__global__ void recurse_kernel(const int* x, int* y) { y[threadIdx.x] = deeper(x, 0); }

__global__ void dynamic_kernel(float* y) {
  CU_DYNAMIC_SHARED(memory);
  float* tile = reinterpret_cast<float*>(memory);
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = tile[kBlock - 1 - threadIdx.x];
}

template <int kRow>
__global__ void transpose_kernel(const float* x, float* y) {
  CU_SHARED(float, tile, [32][kRow]);
  const unsigned column = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (unsigned row = warp; row < 32; row += kBlock / 32) tile[row][column] = x[row * 32 + column];
  __syncthreads();
  for (unsigned row = warp; row < 32; row += kBlock / 32) y[row * 32 + column] = tile[column][row];
}

__global__ void strided_kernel(const float* x, float* y, int stride) {
  y[threadIdx.x * static_cast<unsigned>(stride)] = x[threadIdx.x];
}

__global__ void empty_kernel() {}

dim3 blocks_of(int n) { return dim3(static_cast<unsigned>((n + kBlock - 1) / kBlock)); }

}  // namespace

void add_scaled(cu::Stream stream, float scale, const float* x, float* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, add_scaled_kernel, scale, x, y, n);
}
void reverse_blocks(cu::Stream stream, const float* x, float* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, reverse_kernel, x, y);
}
void reverse_warps(cu::Stream stream, const float* x, float* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, reverse_warp_kernel, x, y);
}
void sum_blocks(cu::Stream stream, const float* x, float* sums, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, sum_kernel, x, sums);
}
void count_positive(cu::Stream stream, const int* x, int* count, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, count_kernel, x, count);
}
void shuffle(cu::Stream stream, const float* x, float* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, shuffle_kernel, x, y);
}
void write_from(cu::Stream stream, float* y, int first, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, write_kernel, y, first);
}
void divide(cu::Stream stream, const int* x, int* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, divide_kernel, x, y, n);
}
void recurse(cu::Stream stream, const int* x, int* y, int n) {
  cu::launch({.grid = blocks_of(n), .block = dim3(kBlock), .stream = stream}, recurse_kernel, x, y);
}
void use_shared(cu::Stream stream, float* y, unsigned bytes) {
  cu::launch({.grid = dim3(1), .block = dim3(kBlock), .shared_bytes = bytes, .stream = stream}, dynamic_kernel, y);
}
void transpose(cu::Stream stream, const float* x, float* y, bool padded) {
  cu::launch({.grid = dim3(1), .block = dim3(kBlock), .stream = stream},
             padded ? transpose_kernel<33> : transpose_kernel<32>, x, y);
}
void copy_strided(cu::Stream stream, const float* x, float* y, int stride) {
  cu::launch({.grid = dim3(1), .block = dim3(kBlock), .stream = stream}, strided_kernel, x, y, stride);
}
void block_of(cu::Stream stream, unsigned threads) {
  cu::launch({.grid = dim3(1), .block = dim3(threads), .stream = stream}, empty_kernel);
}

}  // namespace gesso::probes
