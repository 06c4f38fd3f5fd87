#include "cuda/cu_ptx.h"
#include "tests/cuda/bugs.h"

namespace gesso::bugs {
namespace {

__device__ unsigned first_of_block() { return blockIdx.x * kBlock; }

__global__ void none(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void missing_barrier(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];               // bug: missing_barrier
  y[first + t] = tile[kBlock - 1 - t];  // bug: missing_barrier
}

// The second round overwrites what others still read in the first.
__global__ void missing_barrier_before_reuse(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  for (int round = 0; round < 2; ++round) {
    tile[t] = x[first + t];  // bug: missing_barrier_before_reuse
    __syncthreads();
    y[first + t] = tile[kBlock - 1 - t];  // bug: missing_barrier_before_reuse
  }
}

__global__ void missing_syncwarp(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t ^ 31] = x[first + (t ^ 96)];  // bug: missing_syncwarp
  y[first + t] = tile[t];              // bug: missing_syncwarp
}

__global__ void wait_too_weak(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  cu::cp_async<4>(&tile[t], &x[first + t]);
  cu::cp_async_commit();
  cu::cp_async_wait<1>();
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];  // bug: wait_too_weak
  cu::cp_async_wait<0>();
}

__global__ void never_committed(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  cu::cp_async<4>(&tile[t], &x[first + t]);  // bug: never_committed
  cu::cp_async_wait<0>();
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];  // bug: never_committed
}

__global__ void never_waited(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  cu::cp_async<4>(&tile[t], &x[first + t]);  // bug: never_waited
  cu::cp_async_commit();
  y[first + t] = x[first + kBlock - 1 - t];
}

// The next copy starts before others have read what it overwrites.
__global__ void overwritten_by_copy(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  __syncthreads();
  const float early = t < 64 ? tile[kBlock - 1 - t] : 0.0f;  // bug: overwritten_by_copy
  cu::cp_async<4>(&tile[t], &x[first + t]);                  // bug: overwritten_by_copy
  cu::cp_async_commit();
  y[first + t] = t < 64 ? early : tile[kBlock - 1 - t];  // bug: overwritten_by_copy
  cu::cp_async_wait<0>();
}

__global__ void divergent_barrier(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  if (t % 2 == 0)
    __syncthreads();  // bug: divergent_barrier
  else
    __syncthreads();  // bug: divergent_barrier
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void barrier_in_branch(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  if (t < 64) __syncthreads();          // bug: barrier_in_branch
  y[first + t] = tile[kBlock - 1 - t];  // bug: barrier_in_branch
}

__global__ void early_return(const float* x, float* y, int n) {
  CU_SHARED(float, tile, [kBlock]);
  const unsigned t = threadIdx.x, first = first_of_block();
  if (first + t == static_cast<unsigned>(n) - 1) return;
  tile[t] = x[first + t];
  __syncthreads();  // bug: early_return
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void shuffle_without_a_lane(const float* x, float* y, int) {
  const unsigned t = threadIdx.x, first = first_of_block();
  float value = x[first + (t ^ 96)];
  if (t % 32 != 5) value = __shfl_xor_sync(0xffffffffu, value, 31);  // bug: shuffle_without_a_lane
  y[first + t] = value;
}

__global__ void shuffle_outside_its_mask(const float* x, float* y, int) {
  const unsigned t = threadIdx.x, first = first_of_block();
  const float value = x[first + (t ^ 96)];
  y[first + t] = __shfl_xor_sync(0x0000ffffu, value, 15);  // bug: shuffle_outside_its_mask
}

__global__ void shared_too_small(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock - 1]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];  // bug: shared_too_small
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void dynamic_shared_too_small(const float* x, float* y, int) {
  CU_DYNAMIC_SHARED(memory);
  float* tile = reinterpret_cast<float*>(memory);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];  // bug: dynamic_shared_too_small
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void too_much_static_shared(const float* x, float* y, int) {
  CU_SHARED(float, tile, [13000]);  // bug: too_much_static_shared
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  __syncthreads();
  y[first + t] = tile[kBlock - 1 - t];
}

__global__ void shared_never_written(const float* x, float* y, int) {
  CU_SHARED(float, tile, [kBlock + 1]);
  const unsigned t = threadIdx.x, first = first_of_block();
  tile[t] = x[first + t];
  __syncthreads();
  y[first + t] = tile[kBlock - t];  // bug: shared_never_written
}

__global__ void read_past_the_end(const float* x, float* y, int n) {
  const unsigned i = first_of_block() + threadIdx.x;
  y[i] = x[static_cast<unsigned>(n) - i];  // bug: read_past_the_end
}

__global__ void write_past_the_end(const float* x, float* y, int) {
  const unsigned i = first_of_block() + threadIdx.x;
  y[i + 1] = x[i];  // bug: write_past_the_end
}

__global__ void misaligned_vector(const float* x, float* y, int) {
  const unsigned t = threadIdx.x, first = first_of_block();
  if (t >= 31) return;
  cu::store_as(y + first + t * 4, cu::load_as<float4>(x + first + t * 4 + 1));  // bug: misaligned_vector
}

__global__ void misaligned_pointer(const float* x, float* y, int) {
  const unsigned t = threadIdx.x, first = first_of_block();
  if (t >= 31) return;
  const float4 value = reinterpret_cast<const float4*>(x + first + 1)[t];  // bug: misaligned_pointer
  y[first + t] = value.x;
}

__global__ void blocks_write_the_same(const float* x, float* y, int) {
  const unsigned t = threadIdx.x;
  y[t] = x[first_of_block() + kBlock - 1 - t];  // bug: blocks_write_the_same
}

__global__ void blocks_exchange(const float* x, float* y, int) {
  const unsigned i = first_of_block() + threadIdx.x;
  y[i] = x[i];                                   // bug: blocks_exchange
  if (blockIdx.x > 0) y[i] = y[i - kBlock] + 1;  // bug: blocks_exchange
}

__global__ void lost_update(const float* x, float* y, int) {
  y[0] += x[first_of_block() + threadIdx.x];  // bug: lost_update
}

__global__ void host_pointer(const float* x, float* y, int, const float* on_host) {
  const unsigned t = threadIdx.x, first = first_of_block();
  y[first + t] = x[first + kBlock - 1 - t] + on_host[0];  // bug: host_pointer
}

// No access is wrong: only the result shows it.
__global__ void output_never_written(const float* x, float* y, int) {
  const unsigned t = threadIdx.x, first = first_of_block();
  if (t != 77) y[first + t] = x[first + kBlock - 1 - t];
}

using Kernel = void (*)(const float*, float*, int);

template <Kernel kKernel, unsigned kSharedBytes = 0>
void run(cu::Stream stream, const float* x, float* y, int n) {
  const dim3 grid(static_cast<unsigned>(n / kBlock));
  cu::launch({.grid = grid, .block = dim3(kBlock), .shared_bytes = kSharedBytes, .stream = stream}, kKernel, x, y, n);
}

const float* const on_heap = new float[1]{};  // where the host's data lie

void run_host_pointer(cu::Stream stream, const float* x, float* y, int n) {
  const dim3 grid(static_cast<unsigned>(n / kBlock));
  cu::launch({.grid = grid, .block = dim3(kBlock), .stream = stream}, host_pointer, x, y, n, on_heap);
}

constexpr Bug kBugs[] = {
    {"none", run<none>},
    {"missing_barrier", run<missing_barrier>},
    {"missing_barrier_before_reuse", run<missing_barrier_before_reuse>},
    {"missing_syncwarp", run<missing_syncwarp>},
    {"wait_too_weak", run<wait_too_weak>},
    {"never_committed", run<never_committed>},
    {"never_waited", run<never_waited>},
    {"overwritten_by_copy", run<overwritten_by_copy>},
    {"divergent_barrier", run<divergent_barrier>},
    {"barrier_in_branch", run<barrier_in_branch>},
    {"early_return", run<early_return>},
    {"shuffle_without_a_lane", run<shuffle_without_a_lane>},
    {"shuffle_outside_its_mask", run<shuffle_outside_its_mask>},
    {"shared_too_small", run<shared_too_small>},
    {"dynamic_shared_too_small", run<dynamic_shared_too_small, (kBlock - 1) * sizeof(float)>},
    {"too_much_static_shared", run<too_much_static_shared>},
    {"shared_never_written", run<shared_never_written>},
    {"read_past_the_end", run<read_past_the_end>},
    {"write_past_the_end", run<write_past_the_end>},
    {"misaligned_vector", run<misaligned_vector>},
    {"misaligned_pointer", run<misaligned_pointer>},
    {"blocks_write_the_same", run<blocks_write_the_same>},
    {"blocks_exchange", run<blocks_exchange>},
    {"lost_update", run<lost_update>},
    {"host_pointer", run_host_pointer},
    {"output_never_written", run<output_never_written>},
};

}  // namespace

std::span<const Bug> block_bugs() { return kBugs; }

}  // namespace gesso::bugs
