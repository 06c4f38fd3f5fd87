// A block computes 128x128 of c. Its producer, one thread of warp group 0, lets the copy engine fill stages of 64 along
// k; warp groups 1 and 2 multiply 64 rows each. A stage's mbarrier `full` counts the bytes that arrive, its `empty` the
// warps that have read it. A convolution is the first product with a gathered by the copy engine's im2col mode.
#include "cuda/cu_hopper.h"
#include "cuda/gemm_wgmma.h"

namespace gesso::cuda {
namespace {

constexpr int kTile = 128, kStep = 64, kStages = 4;
constexpr int kWarpGroup = 128, kConsumerWarps = 8, kThreads = 3 * kWarpGroup;
constexpr unsigned kTileBytes = kTile * kStep * 2, kStageBytes = 2 * kTileBytes;
constexpr unsigned kHalfTileBytes = kTileBytes / 2;  // 64 rows of a K-major tile, or one slab of an MN-major one
constexpr std::size_t kSharedBytes = kStages * kStageBytes + 2 * kStages * sizeof(std::uint64_t);
// setmaxnreg: what the producer does not need goes to the consumers; 128 * 40 + 256 * 232 registers are all there are.
constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;

enum class Kind { nt, tn, convolution };

struct Problem {
  float* c;
  std::int64_t m;
  int n, steps;
  // Of a convolution: output width and pixels, channels in steps.
  int out_w, out_pixels, channel_steps, filter, stride, padding;
};

struct Ring {
  unsigned char* stages;  // [kStages][a tile, b tile]
  std::uint64_t* full;    // [kStages]
  std::uint64_t* empty;   // [kStages]
};

// Whether this is an even or an odd pass over the stages.
__device__ __forceinline__ unsigned parity(int step) { return static_cast<unsigned>(step / kStages % 2); }

template <Kind kKind>
__device__ __forceinline__ void load_stage(const Ring& ring, const cu::TensorMap* a, const cu::TensorMap* b,
                                           const Problem& p, int step, std::int64_t m0, int n0) {
  const int stage = step % kStages;
  unsigned char* a_tile = ring.stages + static_cast<unsigned>(stage) * kStageBytes;
  unsigned char* b_tile = a_tile + kTileBytes;
  std::uint64_t* full = ring.full + stage;
  cu::mbar_wait(ring.empty + stage, parity(step) ^ 1);
  cu::mbar_expect_tx(full, kStageBytes);
  if constexpr (kKind == Kind::tn) {
    for (int slab = 0; slab < 2; ++slab) {  // of 64 columns
      const unsigned offset = static_cast<unsigned>(slab) * kHalfTileBytes;
      cu::tma_load_2d(a_tile + offset, a, full, static_cast<int>(m0) + slab * 64, step * kStep);
      cu::tma_load_2d(b_tile + offset, b, full, n0 + slab * 64, step * kStep);
    }
    return;
  }
  if constexpr (kKind == Kind::convolution) {
    const int tap = step / p.channel_steps, c = step % p.channel_steps * kStep;
    const int pixel = static_cast<int>(m0 % p.out_pixels);
    cu::tma_load_im2col(a_tile, a, full, c, pixel % p.out_w * p.stride - p.padding,
                        pixel / p.out_w * p.stride - p.padding, static_cast<int>(m0 / p.out_pixels),
                        static_cast<std::uint16_t>(tap % p.filter), static_cast<std::uint16_t>(tap / p.filter));
  } else {
    cu::tma_load_2d(a_tile, a, full, step * kStep, static_cast<int>(m0));
  }
  cu::tma_load_2d(b_tile, b, full, step * kStep, n0);
}

// sums [64, kTile] of this warp group += its rows of the stage.
template <Kind kKind>
__device__ __forceinline__ void multiply_stage(float (&sums)[kTile / 2], unsigned char* a_tile, unsigned consumer) {
  unsigned char* b_tile = a_tile + kTileBytes;
  unsigned char* rows = a_tile + consumer * kHalfTileBytes;
  cu::wgmma_fence();
  CU_UNROLL
  for (int k = 0; k < kStep / 16; ++k) {
    if constexpr (kKind == Kind::tn)  // 16 rows of k, 128 bytes each
      cu::wgmma_bf16<kTile, true, true>(sums, cu::mn_major_128(rows + k * 2048, kHalfTileBytes),
                                        cu::mn_major_128(b_tile + k * 2048, kHalfTileBytes), true);
    else
      cu::wgmma_bf16<kTile>(sums, cu::k_major_128(rows + k * 32), cu::k_major_128(b_tile + k * 32), true);
  }
  cu::wgmma_commit();
  cu::wgmma_wait<0>();
}

__device__ __forceinline__ void store_sums(const float (&sums)[kTile / 2], const Problem& p, std::int64_t m0, int n0) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x % kWarpGroup / 32);
  CU_UNROLL
  for (int j = 0; j < kTile / 8; ++j) {
    CU_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int64_t m = m0 + warp * 16 + half * 8 + lane / 4;
      const int n = n0 + j * 8 + lane % 4 * 2;
      if (m < p.m && n < p.n)
        cu::store_as(p.c + m * p.n + n, make_float2(sums[j * 4 + half * 2], sums[j * 4 + half * 2 + 1]));
    }
  }
}

template <Kind kKind>
__global__ void __launch_bounds__(kThreads, 1)
    gemm_wgmma(const __grid_constant__ cu::TensorMap a, const __grid_constant__ cu::TensorMap b, const Problem p) {
  CU_DYNAMIC_SHARED(memory);
  std::uint64_t* barriers = reinterpret_cast<std::uint64_t*>(memory + kStages * kStageBytes);
  const Ring ring{memory, barriers, barriers + kStages};
  const unsigned group = threadIdx.x / kWarpGroup;
  const std::int64_t m0 = std::int64_t{blockIdx.x} * kTile;
  const int n0 = static_cast<int>(blockIdx.y) * kTile;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      cu::mbar_init(ring.full + i, 1);
      cu::mbar_init(ring.empty + i, kConsumerWarps);
    }
    cu::fence_barrier_init();
  }
  __syncthreads();
  if (group == 0) {
    cu::reg_dealloc<kProducerRegisters>();
    if (threadIdx.x == 0)
      for (int step = 0; step < p.steps; ++step) load_stage<kKind>(ring, &a, &b, p, step, m0, n0);
    return;
  }
  cu::reg_alloc<kConsumerRegisters>();
  float sums[kTile / 2] = {};
  for (int step = 0; step < p.steps; ++step) {
    const int stage = step % kStages;
    cu::mbar_wait(ring.full + stage, parity(step));
    multiply_stage<kKind>(sums, memory + static_cast<unsigned>(stage) * kStageBytes, group - 1);
    if (threadIdx.x % 32 == 0) cu::mbar_arrive(ring.empty + stage);
  }
  store_sums(sums, p, m0 + (group - 1) * 64, n0);
}

// Boxes of `box_rows` rows and 64 columns of a matrix [rows, columns].
cu::TensorMap matrix_map(const bf16* matrix, int rows, int columns, int box_rows) {
  const std::uint64_t dims[] = {static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows)};
  const std::uint64_t strides[] = {static_cast<std::uint64_t>(columns) * sizeof(bf16)};
  const std::uint32_t box[] = {64, static_cast<std::uint32_t>(box_rows)};
  return cu::tensor_map(matrix, 2, dims, strides, box);
}

cu::TensorMap pixel_map(const ConvolutionWgmma& p) {
  const auto n = static_cast<std::uint64_t>(p.n), h = static_cast<std::uint64_t>(p.h),
             w = static_cast<std::uint64_t>(p.w), c = static_cast<std::uint64_t>(p.c);
  const std::uint64_t dims[] = {c, w, h, n};
  const std::uint64_t strides[] = {c * sizeof(bf16), w * c * sizeof(bf16), h * w * c * sizeof(bf16)};
  const int first = -p.padding, last = p.padding - (p.filter - 1);
  const int lower[] = {first, first}, upper[] = {last, last};
  const auto stride = static_cast<std::uint32_t>(p.stride);
  const std::uint32_t step[] = {1, stride, stride, 1};
  return cu::im2col_map(p.x, dims, strides, lower, upper, kStep, kTile, step);
}

template <Kind kKind>
void run(cu::Stream stream, const cu::TensorMap& a, const cu::TensorMap& b, const Problem& problem) {
  const dim3 grid(static_cast<unsigned>((problem.m + kTile - 1) / kTile),  // rows along x: the others end at 65,535
                  static_cast<unsigned>((problem.n + kTile - 1) / kTile));
  cu::launch({.grid = grid, .block = dim3(kThreads), .shared_bytes = kSharedBytes, .stream = stream}, gemm_wgmma<kKind>,
             a, b, problem);
}

Problem problem_of(const GemmWgmma& gemm) {
  Problem problem{};
  problem.c = gemm.c;
  problem.m = gemm.m;
  problem.n = gemm.n;
  problem.steps = (gemm.k + kStep - 1) / kStep;
  return problem;
}

void multiply_nt(cu::Stream stream, const GemmWgmma& gemm) {
  run<Kind::nt>(stream, matrix_map(gemm.a, gemm.m, gemm.k, kTile), matrix_map(gemm.b, gemm.n, gemm.k, kTile),
                problem_of(gemm));
}

void multiply_tn(cu::Stream stream, const GemmWgmma& gemm) {
  run<Kind::tn>(stream, matrix_map(gemm.a, gemm.k, gemm.m, kStep), matrix_map(gemm.b, gemm.k, gemm.n, kStep),
                problem_of(gemm));
}

void convolve(cu::Stream stream, const ConvolutionWgmma& p) {
  const int taps = p.filter * p.filter, out_pixels = p.out_h() * p.out_w(), channel_steps = p.c / kStep;
  const Problem problem{.c = p.y,
                        .m = std::int64_t{p.n} * out_pixels,
                        .n = p.out_channels,
                        .steps = taps * channel_steps,
                        .out_w = p.out_w(),
                        .out_pixels = out_pixels,
                        .channel_steps = channel_steps,
                        .filter = p.filter,
                        .stride = p.stride,
                        .padding = p.padding};
  run<Kind::convolution>(stream, pixel_map(p), matrix_map(p.weight, p.out_channels, taps * p.c, kTile), problem);
}

}  // namespace

template <>
const GemmWgmmaKernels& gemm_wgmma_kernels<cu::Build>() {
  static constexpr GemmWgmmaKernels kernels = {
      .multiply_nt = multiply_nt, .multiply_tn = multiply_tn, .convolve = convolve};
  return kernels;
}

}  // namespace gesso::cuda
