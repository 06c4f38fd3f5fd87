// The pipeline of cuda/gemm_wgmma.cu in small, with one mistake at a time.
#include "cuda/cu_hopper.h"
#include "tests/cuda/bugs.h"

namespace gesso::bugs {
namespace {

constexpr int kStep = 64, kStages = 2, kRows = 128;
constexpr unsigned kTileBytes = kRows * kStep * 2, kStageBytes = 2 * kTileBytes;

// 0 and the numbers of kBugs: each stands where the mistake is made.
__global__ void __launch_bounds__(256, 1)
    pipeline(const __grid_constant__ cu::TensorMap a, float* c, int steps, int bug) {
  CU_DYNAMIC_SHARED(memory);
  std::uint64_t* full = reinterpret_cast<std::uint64_t*>(memory + kStages * kStageBytes);
  std::uint64_t* empty = full + kStages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      cu::mbar_init(full + i, 1);                  // bug: 2
      cu::mbar_init(empty + i, bug == 1 ? 2 : 1);  // bug: 2
    }
    cu::fence_barrier_init();
  }
  if (bug != 2) __syncthreads();
  if (threadIdx.x >= 128) {
    if (threadIdx.x > 128) return;
    for (int step = 0; step < steps; ++step) {
      const int stage = step % kStages;
      const unsigned odd_pass = static_cast<unsigned>(step / kStages % 2);
      if (bug != 3) cu::mbar_wait(empty + stage, odd_pass ^ (bug == 4 ? 0u : 1u));  // bug: 1 2 4 6 8
      unsigned char* tile = memory + static_cast<unsigned>(stage) * kStageBytes + (bug == 5 ? 64 : 0);
      cu::mbar_expect_tx(full + stage, bug == 6 ? kTileBytes : kStageBytes);  // bug: 3 6
      cu::tma_load_2d(tile, &a, full + stage, step * kStep, 0);               // bug: 3 5 7 8 10 11
      cu::tma_load_2d(tile + kTileBytes, &a, full + stage, step * kStep, 0);  // bug: 3 7 8 10 11
    }
    return;
  }
  float sums[64] = {};
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    const unsigned odd_pass = static_cast<unsigned>(step / kStages % 2);
    if (bug != 7) cu::mbar_wait(full + stage, bug == 8 ? 0 : odd_pass);  // bug: 1 2 4 6 8
    unsigned char* tile = memory + static_cast<unsigned>(stage) * kStageBytes;
    cu::wgmma_fence();
    for (int k = 0; k < kStep / 16; ++k)
      cu::wgmma_bf16<128>(sums, cu::k_major_128(tile + k * 32),  // bug: 6 7 8
                          cu::k_major_128(tile + kTileBytes + k * (bug == 9 ? 16 : 32)), true);
    cu::wgmma_commit();
    if (bug == 10 && threadIdx.x == 0) cu::mbar_arrive(empty + stage);
    if (bug != 11) cu::wgmma_wait<0>();
    if (bug != 10 && threadIdx.x == 0) cu::mbar_arrive(empty + stage);
  }
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  for (int j = 0; j < 16; ++j)
    for (int half = 0; half < 2; ++half) {
      const int m = warp * 16 + half * 8 + lane / 4, n = j * 8 + lane % 4 * 2;
      cu::store_as(c + m * 128 + n, make_float2(sums[j * 4 + half * 2], sums[j * 4 + half * 2 + 1]));
    }
  if (bug == 11) cu::wgmma_wait<0>();
}

constexpr PipelineBug kBugs[] = {
    {"none", 0},
    {"empty counts 2, one arrives", 1},
    {"no barrier after the barriers' initialisation", 2},
    {"producer never waits for empty", 3},
    {"producer waits for the wrong parity", 4},
    {"tile not aligned to 128 bytes", 5},
    {"half of the bytes expected", 6},
    {"consumer never waits for full", 7},
    {"consumer's parity never flips", 8},
    {"wrong step of a descriptor", 9},
    {"stage released before wgmma has read it", 10},
    {"accumulators read before the wait", 11},
};

}  // namespace

std::span<const PipelineBug> pipeline_bugs() { return kBugs; }

void run_pipeline(cu::Stream stream, const bf16* a, float* c, int k, int bug) {
  const std::uint64_t dims[] = {static_cast<std::uint64_t>(k), kRows};
  const std::uint64_t strides[] = {static_cast<std::uint64_t>(k) * sizeof(bf16)};
  const std::uint32_t box[] = {kStep, kRows};
  constexpr std::size_t kSharedBytes = kStages * kStageBytes + 2 * kStages * sizeof(std::uint64_t);
  cu::launch({.grid = dim3(1), .block = dim3(256), .shared_bytes = kSharedBytes, .stream = stream}, pipeline,
             cu::tensor_map(a, 2, dims, strides, box), c, k / kStep, bug);
}

}  // namespace gesso::bugs
