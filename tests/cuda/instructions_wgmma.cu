#include "cuda/cu_hopper.h"
#include "tests/cuda/instructions.h"

namespace gesso::probes {
namespace {

using namespace shapes;
using std::uint32_t;

constexpr unsigned kTileBytes = kTileRows * kTileColumns * 2, kWindowBytes = kPixels * kChannels * 2;
constexpr unsigned kABytes = kM * kDepth * 2, kBBytes = kN * kDepth * 2, kSlabBytes = 64 * kDepth * 2;

// Each phase one lane of each warp arrives; then all read what other warps wrote.
__global__ void mbarrier_kernel(const uint32_t* in, uint32_t* out) {
  CU_SHARED(uint32_t, values, [2][kThreads]);
  CU_SHARED(std::uint64_t, barrier);
  const unsigned t = threadIdx.x;
  if (t == 0) {
    cu::mbar_init(&barrier, kThreads / 32);
    cu::fence_barrier_init();
  }
  __syncthreads();
  for (unsigned phase = 0; phase < kPhases; ++phase) {
    values[phase % 2][t] = in[phase * kThreads + t];
    __syncwarp();
    if (t % 32 == 0) cu::mbar_arrive(&barrier);
    cu::mbar_wait(&barrier, phase % 2);
    out[phase * kThreads + t] = values[phase % 2][(t + 37) % kThreads];
  }
}

// What the copy engine will write is first set to all ones by the threads.
__device__ __forceinline__ void start_target(unsigned char* target, unsigned bytes, std::uint64_t* barrier) {
  for (unsigned i = threadIdx.x; i < bytes / 4; i += kThreads) reinterpret_cast<uint32_t*>(target)[i] = 0xFFFFFFFFu;
  if (threadIdx.x == 0) {
    cu::mbar_init(barrier, 1);
    cu::fence_barrier_init();
  }
  cu::fence_proxy_async();
  __syncthreads();
}

__global__ void __launch_bounds__(kThreads)
    tile_kernel(const __grid_constant__ cu::TensorMap map, TileCorners at, uint32_t* out) {
  CU_DYNAMIC_SHARED(target);
  CU_SHARED(std::uint64_t, barrier);
  start_target(target, kTiles * kTileBytes, &barrier);
  CU_UNROLL
  for (int i = 0; i < kTiles; ++i) {
    if (threadIdx.x == 0) {
      cu::mbar_expect_tx(&barrier, kTileBytes);
      cu::tma_load_2d(target + static_cast<unsigned>(i) * kTileBytes, &map, &barrier, at.column[i], at.row[i]);
    }
    cu::mbar_wait(&barrier, static_cast<unsigned>(i % 2));
    __syncthreads();  // nobody may fall two phases behind
  }
  for (unsigned i = threadIdx.x; i < kTiles * kTileBytes / 4; i += kThreads)
    out[i] = reinterpret_cast<const uint32_t*>(target)[i];
}

template <int kStride>
__global__ void __launch_bounds__(kThreads)
    im2col_kernel(const __grid_constant__ cu::TensorMap map, Windows at, uint32_t* out) {
  constexpr int kOutWidth = out_pixels(kWidth, kStride), kOutPixels = kOutWidth * out_pixels(kHeight, kStride);
  CU_DYNAMIC_SHARED(target);
  CU_SHARED(std::uint64_t, barrier);
  start_target(target, kWindows * kWindowBytes, &barrier);
  CU_UNROLL
  for (int i = 0; i < kWindows; ++i) {
    if (threadIdx.x == 0) {
      const int first = at.first[i], pixel = first % kOutPixels;
      cu::mbar_expect_tx(&barrier, kWindowBytes);
      cu::tma_load_im2col(target + static_cast<unsigned>(i) * kWindowBytes, &map, &barrier, 0,
                          pixel % kOutWidth * kStride - 1, pixel / kOutWidth * kStride - 1, first / kOutPixels,
                          static_cast<std::uint16_t>(at.offset_w[i]), static_cast<std::uint16_t>(at.offset_h[i]));
    }
    cu::mbar_wait(&barrier, static_cast<unsigned>(i % 2));
    __syncthreads();  // nobody may fall two phases behind
  }
  for (unsigned i = threadIdx.x; i < kWindows * kWindowBytes / 4; i += kThreads)
    out[i] = reinterpret_cast<const uint32_t*>(target)[i];
}

template <bool kTransposeA, bool kTransposeB>
__device__ __forceinline__ void multiply(float (&sums)[kN / 2], const unsigned char* a, const unsigned char* b,
                                         int step, bool accumulate) {
  cu::wgmma_fence();
  const std::uint64_t left =
      kTransposeA ? cu::mn_major_128(a + step * 2048, kSlabBytes) : cu::k_major_128(a + step * 32);
  const std::uint64_t right =
      kTransposeB ? cu::mn_major_128(b + step * 2048, kSlabBytes) : cu::k_major_128(b + step * 32);
  cu::wgmma_bf16<kN, kTransposeA, kTransposeB>(sums, left, right, accumulate);
  cu::wgmma_commit();
  cu::wgmma_wait<0>();
}

// Tiles as they shall lie in shared memory; the sums of one step, then of two.
template <bool kTransposeA, bool kTransposeB>
__global__ void __launch_bounds__(kThreads) wgmma_kernel(const uint32_t* in, float* out) {
  CU_DYNAMIC_SHARED(tiles);
  for (unsigned i = threadIdx.x; i < (kABytes + kBBytes) / 4; i += kThreads)
    reinterpret_cast<uint32_t*>(tiles)[i] = in[i];
  cu::fence_proxy_async();
  __syncthreads();
  float sums[kN / 2];
  CU_UNROLL
  for (int i = 0; i < kN / 2; ++i) sums[i] = 1000.0f;  // which the first step does not add
  float* mine = out + threadIdx.x * (kN / 2);
  CU_UNROLL
  for (int step = 0; step < 2; ++step) {
    multiply<kTransposeA, kTransposeB>(sums, tiles, tiles + kABytes, depth_step(step), step > 0);
    CU_UNROLL
    for (int i = 0; i < kN / 2; ++i) mine[step * kM * kN + i] = sums[i];
  }
}

constexpr cu::LaunchConfig one_block(cu::Stream stream, std::size_t shared_bytes) {
  return {.grid = dim3(1), .block = dim3(kThreads), .shared_bytes = shared_bytes, .stream = stream};
}

void run_mbarrier(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch(one_block(stream, 0), mbarrier_kernel, in, out);
}
void run_tile(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  const std::uint64_t dims[] = {kColumns, kRows}, strides[] = {kColumns * sizeof(bf16)};
  const uint32_t box[] = {kTileColumns, kTileRows};
  const cu::TensorMap map = cu::tensor_map(reinterpret_cast<const bf16*>(in), 2, dims, strides, box);
  cu::launch(one_block(stream, kTiles * kTileBytes), tile_kernel, map, TileCorners{}, out);
}
template <int kStride>
void run_im2col(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  constexpr std::uint64_t kPixel = kChannels * sizeof(bf16);
  const std::uint64_t dims[] = {kChannels, kWidth, kHeight, kImages};
  const std::uint64_t strides[] = {kPixel, kWidth * kPixel, kHeight * kWidth * kPixel};
  const int lower[] = {-1, -1}, upper[] = {-1, -1};
  const uint32_t step[] = {1, kStride, kStride, 1};
  const cu::TensorMap map =
      cu::im2col_map(reinterpret_cast<const bf16*>(in), dims, strides, lower, upper, kChannels, kPixels, step);
  cu::launch(one_block(stream, kWindows * kWindowBytes), im2col_kernel<kStride>, map, Windows{}, out);
}
template <bool kTransposeA, bool kTransposeB>
void run_wgmma(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch(one_block(stream, kABytes + kBBytes), wgmma_kernel<kTransposeA, kTransposeB>, in,
             reinterpret_cast<float*>(out));
}

}  // namespace

template <>
std::span<const InstructionProbe> hopper_probes<cu::Build>() {
  constexpr int kTensor = kRows * kColumns / 2, kTilesOut = kTiles * static_cast<int>(kTileBytes / 4);
  constexpr int kImage = kImages * kHeight * kWidth * kChannels / 2;
  constexpr int kWindowsOut = kWindows * static_cast<int>(kWindowBytes / 4);
  constexpr int kOperands = static_cast<int>((kABytes + kBBytes) / 4), kSums = 2 * kM * kN;
  static constexpr InstructionProbe probes[] = {
      {"mbarrier", kPhases * kThreads, kPhases * kThreads, run_mbarrier},
      {"TMA tile, swizzle 128", kTensor, kTilesOut, run_tile},
      {"TMA im2col, stride 1", kImage, kWindowsOut, run_im2col<1>},
      {"TMA im2col, stride 2", kImage, kWindowsOut, run_im2col<2>},
      {"wgmma, a and b K-major", kOperands, kSums, run_wgmma<false, false>},
      {"wgmma, a and b MN-major", kOperands, kSums, run_wgmma<true, true>},
      {"wgmma, a K-major, b MN-major", kOperands, kSums, run_wgmma<false, true>},
      {"wgmma, a MN-major, b K-major", kOperands, kSums, run_wgmma<true, false>},
  };
  return probes;
}

template <>
bool has_hopper<cu::Build>() {
  return cu::has_hopper();
}

}  // namespace gesso::probes
