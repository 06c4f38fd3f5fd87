// A block computes 64x64 of c with 4 warps of 32x32. Steps of 32 along k go through two stages of shared memory: while
// one is multiplied, cp.async fills the other.
#include "cuda/cu_ptx.h"
#include "cuda/gemm_mma.h"

namespace gesso::cuda {
namespace {

constexpr int kTile = 64, kStep = 32, kThreads = 128;
constexpr int kChunk = 8, kRowChunks = kStep / kChunk;  // a chunk: 8 elements, 16 bytes
constexpr int kTileElements = kTile * kStep;

// The chunk `c` of row `r` of a tile [kTile, kStep]. Two rows of 64 bytes share the 128 bytes of all banks: xor with
// r/2 lets the 8 rows that ldmatrix reads at once lie in different ones.
__device__ __forceinline__ bf16* chunk(bf16* tile, int r, int c) {
  return tile + r * kStep + (c ^ (r >> 1 & 3)) * kChunk;
}

// Starts the copy of rows [row0, row0 + kTile) and columns [k0, k0 + kStep) of `matrix` [rows,k]; zeros outside.
__device__ __forceinline__ void load_tile(bf16* tile, const bf16* matrix, std::int64_t row0, int k0, std::int64_t rows,
                                          int k) {
  CU_UNROLL
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kRowChunks; i += kThreads) {
    const int r = i / kRowChunks, c = i % kRowChunks;
    const bool inside = row0 + r < rows && k0 + c * kChunk < k;
    const bf16* source = matrix + (row0 + r) * k + k0 + c * kChunk;
    cu::cp_async<16>(chunk(tile, r, c), inside ? source : matrix, inside);
  }
}

// sums [2,4] fragments of 16x8 += the warp's 32 rows of a and b.
__device__ __forceinline__ void multiply_step(float (&sums)[2][4][4], bf16* a_tile, bf16* b_tile, int warp_m,
                                              int warp_n) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  CU_UNROLL
  for (int kk = 0; kk < kStep / 16; ++kk) {
    std::uint32_t a[2][4], b[2][4];
    CU_UNROLL
    for (int i = 0; i < 2; ++i) {
      cu::ldmatrix_x4(a[i], chunk(a_tile, warp_m + i * 16 + lane % 16, kk * 2 + lane / 16));
      cu::ldmatrix_x4(b[i], chunk(b_tile, warp_n + i * 16 + lane % 16, kk * 2 + lane / 16));
    }
    CU_UNROLL
    for (int i = 0; i < 2; ++i) {
      CU_UNROLL
      for (int j = 0; j < 4; ++j) cu::mma_bf16(sums[i][j], a[i], b[j / 2][j % 2], b[j / 2][j % 2 + 2]);
    }
  }
}

__device__ __forceinline__ void store_sums(const float (&sums)[2][4][4], const GemmMma& gemm, std::int64_t m0, int n0) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  CU_UNROLL
  for (int i = 0; i < 2; ++i) {
    CU_UNROLL
    for (int j = 0; j < 4; ++j) {
      CU_UNROLL
      for (int half = 0; half < 2; ++half) {  // rows lane/4 and lane/4 + 8 of a fragment
        const std::int64_t m = m0 + i * 16 + lane / 4 + half * 8;
        const int n = n0 + j * 8 + lane % 4 * 2;
        if (m < gemm.m && n < gemm.n)
          cu::store_as(gemm.c + m * gemm.n + n, make_float2(sums[i][j][half * 2], sums[i][j][half * 2 + 1]));
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads) gemm_mma(const GemmMma gemm) {
  CU_DYNAMIC_SHARED(memory);
  bf16* a_tiles = reinterpret_cast<bf16*>(memory);  // [2][kTile, kStep]
  bf16* b_tiles = a_tiles + 2 * kTileElements;      // [2][kTile, kStep]
  const std::int64_t m0 = std::int64_t{blockIdx.x} * kTile;
  const int n0 = static_cast<int>(blockIdx.y) * kTile;
  const int warp = static_cast<int>(threadIdx.x / 32), warp_m = warp / 2 * 32, warp_n = warp % 2 * 32;
  const auto load = [&](int step) {
    const int stage = step % 2 * kTileElements;
    load_tile(a_tiles + stage, gemm.a, m0, step * kStep, gemm.m, gemm.k);
    load_tile(b_tiles + stage, gemm.b, n0, step * kStep, gemm.n, gemm.k);
    cu::cp_async_commit();
  };
  float sums[2][4][4] = {};
  const int steps = (gemm.k + kStep - 1) / kStep;
  load(0);
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) {
      load(step + 1);
      cu::cp_async_wait<1>();
    } else {
      cu::cp_async_wait<0>();
    }
    __syncthreads();
    const int stage = step % 2 * kTileElements;
    multiply_step(sums, a_tiles + stage, b_tiles + stage, warp_m, warp_n);
    __syncthreads();  // all have read the stage before the next load overwrites it
  }
  store_sums(sums, gemm, m0 + warp_m, n0 + warp_n);
}

void multiply(cu::Stream stream, const GemmMma& gemm) {
  const dim3 grid(static_cast<unsigned>((gemm.m + kTile - 1) / kTile),  // rows along x: the others end at 65,535
                  static_cast<unsigned>((gemm.n + kTile - 1) / kTile));
  constexpr std::size_t kSharedBytes = 4 * kTileElements * sizeof(bf16);
  cu::launch({.grid = grid, .block = dim3(kThreads), .shared_bytes = kSharedBytes, .stream = stream}, gemm_mma, gemm);
}

}  // namespace

template <>
const GemmMmaKernels& gemm_mma_kernels<cu::Build>() {
  static constexpr GemmMmaKernels kernels = {.multiply = multiply};
  return kernels;
}

}  // namespace gesso::cuda
