#include "cuda/block.h"
#include "cuda/cu.h"
#include "cuda/nearest_code.h"

namespace gesso::cuda {
namespace {

// A block has kRows vectors, and meets the codes kCodes at a time, kDepth elements of both at a time. A thread has
// kThreadRows neighbouring vectors, and of the codes two groups of four, half a tile apart.
constexpr int kThreads = 256, kRows = 64, kCodes = 128, kDepth = 16;
constexpr int kThreadRows = 4, kThreadCodes = 8, kAcross = kCodes / kThreadCodes;
static_assert(kThreads == kAcross * kRows / kThreadRows);
// Four floats more a line: lines begin at 16 bytes, and what a warp writes across lines lies in different banks.
constexpr int kRowStep = kRows + 4, kCodeStep = kCodes + 4;

__global__ void __launch_bounds__(kThreads) bias_codes(NearestCodeSearch search) {
  const std::int64_t k = static_cast<std::int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  double square = 0;
  if (k < search.codes)
    for (int d = lane; d < search.width; d += kWarp) {
      const double e = search.codebook[k * search.width + d];
      square += e * e;
    }
  square = warp_join(square, Plus{});
  if (k < search.codes && lane == 0) search.biases[k] = -static_cast<float>(square / 2);
}

// Four elements of a line from d on, 0 where there are none.
__device__ __forceinline__ float4 load_four(const float* line, bool exists, int d, int width, bool in_vectors) {
  if (!exists) return make_float4(0, 0, 0, 0);
  if (in_vectors) return d < width ? cu::load_as<float4>(line + d) : make_float4(0, 0, 0, 0);
  return make_float4(d < width ? line[d] : 0, d + 1 < width ? line[d + 1] : 0, d + 2 < width ? line[d + 2] : 0,
                     d + 3 < width ? line[d + 3] : 0);
}
// As a piece of a column.
template <int kStep>
__device__ __forceinline__ void store_four(float (&tile)[kDepth][kStep], int d, int at, const float4& four) {
  tile[d][at] = four.x;
  tile[d + 1][at] = four.y;
  tile[d + 2][at] = four.z;
  tile[d + 3][at] = four.w;
}

using Scores = float[kThreadRows][kThreadCodes];

__device__ __forceinline__ void add_products(const float* rows, const float* codes, Scores& scores) {
  const float4 z4 = cu::load_as<float4>(rows), low = cu::load_as<float4>(codes);
  const float4 high = cu::load_as<float4>(codes + kCodes / 2);
  const float z[kThreadRows] = {z4.x, z4.y, z4.z, z4.w};
  const float e[kThreadCodes] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
  CU_UNROLL
  for (int r = 0; r < kThreadRows; ++r) CU_UNROLL
  for (int c = 0; c < kThreadCodes; ++c) scores[r][c] = fmaf(z[r], e[c], scores[r][c]);
}

// The code of a tile that is a thread's c-th; ascending.
__device__ __forceinline__ int code_of(int across, int c) {
  return c < 4 ? across * 4 + c : kCodes / 2 + across * 4 + c - 4;
}

struct Best {
  float score;
  int code;
};
__device__ __forceinline__ Best better(Best a, Best b) {
  return b.score > a.score || (b.score == a.score && b.code < a.code) ? b : a;
}

__global__ void __launch_bounds__(kThreads) search_codes(NearestCodeSearch search) {
  CU_SHARED(float, rows, [kDepth][kRowStep]);
  CU_SHARED(float, codes, [kDepth][kCodeStep]);
  const int thread = static_cast<int>(threadIdx.x), across = thread % kAcross,
            first_row = thread / kAcross * kThreadRows;
  const int line = thread / 4, piece = thread % 4 * 4;  // what the thread loads: four elements of a line
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kRows;
  const float* z = search.z + (begin + line) * search.width;
  const bool z_exists = begin + line < search.vectors;

  Best best[kThreadRows];
  CU_UNROLL
  for (int r = 0; r < kThreadRows; ++r) best[r] = {-INFINITY, 0};
  for (int first = 0; first < search.codes; first += kCodes) {
    Scores scores;
    CU_UNROLL
    for (int c = 0; c < kThreadCodes; ++c) {
      const int code = first + code_of(across, c);
      const float bias = code < search.codes ? search.biases[code] : -INFINITY;
      CU_UNROLL
      for (int r = 0; r < kThreadRows; ++r) scores[r][c] = bias;
    }
    const int code_low = first + line, code_high = code_low + kCodes / 2;
    const float* low = search.codebook + static_cast<std::int64_t>(code_low) * search.width;
    const float* high = search.codebook + static_cast<std::int64_t>(code_high) * search.width;
    for (int d = 0; d < search.width; d += kDepth) {
      const float4 of_z = load_four(z, z_exists, d + piece, search.width, search.in_vectors);
      const float4 of_low = load_four(low, code_low < search.codes, d + piece, search.width, search.in_vectors);
      const float4 of_high = load_four(high, code_high < search.codes, d + piece, search.width, search.in_vectors);
      __syncthreads();  // the piece before is used up
      store_four(rows, piece, line, of_z);
      store_four(codes, piece, line, of_low);
      store_four(codes, piece, line + kCodes / 2, of_high);
      __syncthreads();
      CU_UNROLL
      for (int i = 0; i < kDepth; ++i) add_products(&rows[i][first_row], &codes[i][across * 4], scores);
    }
    CU_UNROLL
    for (int r = 0; r < kThreadRows; ++r) CU_UNROLL
    for (int c = 0; c < kThreadCodes; ++c)  // ascending: of equal ones the first stays
      if (scores[r][c] > best[r].score) best[r] = {scores[r][c], first + code_of(across, c)};
  }
  CU_UNROLL
  for (int r = 0; r < kThreadRows; ++r) {
    CU_UNROLL
    for (int apart = kAcross / 2; apart > 0; apart /= 2)
      best[r] = better(best[r], {__shfl_xor_sync(0xFFFFFFFFu, best[r].score, apart),
                                 __shfl_xor_sync(0xFFFFFFFFu, best[r].code, apart)});
    const std::int64_t row = begin + first_row + r;
    if (across == 0 && row < search.vectors) search.index[row] = best[r].code;
  }
}

void search(cu::Stream stream, const NearestCodeSearch& search) {
  constexpr int kCodesABlock = kThreads / kWarp;
  const auto code_blocks = static_cast<unsigned>((search.codes + kCodesABlock - 1) / kCodesABlock);
  const auto row_blocks = static_cast<unsigned>((search.vectors + kRows - 1) / kRows);
  cu::launch({.grid = dim3(code_blocks), .block = dim3(kThreads), .stream = stream}, bias_codes, search);
  cu::launch({.grid = dim3(row_blocks), .block = dim3(kThreads), .stream = stream}, search_codes, search);
}

__global__ void __launch_bounds__(kThreads) count_codes(int codes, const std::int32_t* begins, float* counts) {
  const int k = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (k < codes) counts[k] = static_cast<float>(begins[k + 1] - begins[k]);
}

void count(cu::Stream stream, int codes, const std::int32_t* begins, float* counts) {
  const auto blocks = static_cast<unsigned>((codes + kThreads - 1) / kThreads);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, count_codes, codes, begins, counts);
}

}  // namespace

template <>
const NearestCodeKernels& nearest_code_kernels<cu::Build>() {
  static constexpr NearestCodeKernels table = {.search = search, .count = count};
  return table;
}

}  // namespace gesso::cuda
