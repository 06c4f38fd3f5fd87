#include "cuda/block.h"
#include "cuda/picked_rows.h"
#include "cuda/unit_kernel.h"

namespace gesso::cuda {
namespace {

constexpr int kTakeThreads = 256, kSortThreads = kSortDigits, kSortWarps = kSortThreads / kWarp;

template <class Unit>
__global__ void __launch_bounds__(kTakeThreads) take_rows(TakeRows take) {
  const int lane = static_cast<int>(threadIdx.x) % take.lanes;
  const std::int64_t to =
      static_cast<std::int64_t>(blockIdx.x) * (kTakeThreads / take.lanes) + static_cast<int>(threadIdx.x) / take.lanes;
  if (to >= take.outer * take.picks) return;
  const std::int64_t outer = take.outer == 1 ? 0 : to / take.picks;
  const std::int64_t row = take.index[to - outer * take.picks];
  const bool found = row >= 0 && row < take.rows;
  const Unit* from = static_cast<const Unit*>(take.x) + (outer * take.rows + (found ? row : 0)) * take.width;
  Unit* y = static_cast<Unit*>(take.y) + to * take.width;
  for (std::int64_t i = lane; i < take.width; i += take.lanes)
    cu::store_as(y + i, found ? cu::load_as<Unit>(from + i) : same_bits<Unit>(true));
}

void take(cu::Stream stream, const TakeRows& take) {
  const std::int64_t rows_a_block = kTakeThreads / take.lanes;
  const auto blocks = static_cast<unsigned>((take.outer * take.picks + rows_a_block - 1) / rows_a_block);
  with_unit(take.unit, [&]<class Unit>() {
    cu::launch({.grid = dim3(blocks), .block = dim3(kTakeThreads), .stream = stream}, take_rows<Unit>, take);
  });
}

// What a pick is sorted by: its row, or the number of rows where it has none.
__device__ __forceinline__ std::int64_t row_of(const std::int32_t* index, std::int64_t rows, std::int32_t pick) {
  const std::int64_t row = index[pick];
  return row >= 0 && row < rows ? row : rows;
}
__device__ __forceinline__ std::int32_t pick_at(const SortPass& pass, std::int64_t i) {
  return pass.from == nullptr ? static_cast<std::int32_t>(i) : pass.from[i];
}
__device__ __forceinline__ unsigned digit_of(const SortPass& pass, std::int32_t pick) {
  return static_cast<unsigned>(row_of(pass.index, pass.rows, pick) >> pass.shift) % kSortDigits;
}
__device__ __forceinline__ std::int64_t end_of_tile(const SortPass& pass) {
  const std::int64_t end = (static_cast<std::int64_t>(blockIdx.x) + 1) * pass.tile;
  return end < pass.picks ? end : pass.picks;
}

// places[digit,tile] = how many picks of this tile have this digit.
__global__ void __launch_bounds__(kSortThreads) count_digits(SortPass pass) {
  CU_SHARED(int, counts, [kSortDigits]);
  counts[threadIdx.x] = 0;
  __syncthreads();
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * pass.tile, end = end_of_tile(pass);
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kSortThreads)
    atomicAdd(&counts[digit_of(pass, pick_at(pass, i))], 1);
  __syncthreads();
  pass.places[static_cast<int>(threadIdx.x) * pass.tiles + static_cast<int>(blockIdx.x)] = counts[threadIdx.x];
}

// Each count becomes the sum of all before it: where the first such pick of the tile goes. One block, a digit a thread.
__global__ void __launch_bounds__(kSortThreads) sum_counts(int tiles, std::int32_t* places) {
  CU_SHARED(int, of_warp, [kSortWarps]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  std::int32_t* of_digit = places + static_cast<int>(threadIdx.x) * tiles;
  int own = 0;
  for (int tile = 0; tile < tiles; ++tile) own += of_digit[tile];
  int sum = own;  // of this digit and the lower ones, in this warp
  CU_UNROLL
  for (unsigned apart = 1; apart < kWarp; apart *= 2) {
    const int lower = __shfl_up_sync(0xFFFFFFFFu, sum, apart);
    if (lane >= static_cast<int>(apart)) sum += lower;
  }
  if (lane == kWarp - 1) of_warp[warp] = sum;
  __syncthreads();
  int place = sum - own;
  for (int lower = 0; lower < warp; ++lower) place += of_warp[lower];
  for (int tile = 0; tile < tiles; ++tile) {
    const int count = of_digit[tile];
    of_digit[tile] = place;
    place += count;
  }
}

// 256 picks at a time, in their order: those of one digit in one warp know each other by votes, warps by their counts.
__global__ void __launch_bounds__(kSortThreads) place_picks(SortPass pass) {
  CU_SHARED(int, of_warp, [kSortWarps][kSortDigits]);  // counts, then where the first one goes
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  int next = pass.places[thread * pass.tiles + static_cast<int>(blockIdx.x)];  // of the digit with the thread's number
  const std::int64_t end = end_of_tile(pass);
  for (std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * pass.tile; begin < end; begin += kSortThreads) {
    CU_UNROLL
    for (int w = 0; w < kSortWarps; ++w) of_warp[w][thread] = 0;
    __syncthreads();
    const bool inside = begin + thread < end;
    const std::int32_t pick = inside ? pick_at(pass, begin + thread) : 0;
    const unsigned digit = inside ? digit_of(pass, pick) : 0;
    unsigned alike = __ballot_sync(0xFFFFFFFFu, inside);
    CU_UNROLL
    for (int bit = 0; bit < kSortBits; ++bit) {
      const bool set = (digit >> bit & 1u) != 0;
      const unsigned those_set = __ballot_sync(0xFFFFFFFFu, set);
      alike &= set ? those_set : ~those_set;
    }
    const int before = __popc(alike & ((1u << lane) - 1));
    if (inside && before == 0) of_warp[warp][digit] = __popc(alike);
    __syncthreads();
    CU_UNROLL
    for (int w = 0; w < kSortWarps; ++w) {
      const int count = of_warp[w][thread];
      of_warp[w][thread] = next;
      next += count;
    }
    __syncthreads();
    if (inside) pass.to[of_warp[warp][digit] + before] = pick;
    __syncthreads();  // of_warp may be written again
  }
}

void sort(cu::Stream stream, const SortPass& pass) {
  const auto tiles = static_cast<unsigned>(pass.tiles);
  cu::launch({.grid = dim3(tiles), .block = dim3(kSortThreads), .stream = stream}, count_digits, pass);
  cu::launch({.grid = dim3(1), .block = dim3(kSortThreads), .stream = stream}, sum_counts, pass.tiles, pass.places);
  cu::launch({.grid = dim3(tiles), .block = dim3(kSortThreads), .stream = stream}, place_picks, pass);
}

__global__ void __launch_bounds__(kSortThreads) begin_rows(RowBegins begin) {
  const std::int64_t k = static_cast<std::int64_t>(blockIdx.x) * kSortThreads + threadIdx.x;
  if (k > begin.rows) return;
  std::int64_t low = 0, high = begin.picks;
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    if (row_of(begin.index, begin.rows, begin.order[middle]) < k)
      low = middle + 1;
    else
      high = middle;
  }
  begin.begins[k] = static_cast<std::int32_t>(low);
}

void begin(cu::Stream stream, const RowBegins& begin) {
  const auto blocks = static_cast<unsigned>(begin.rows / kSortThreads + 1);  // rows + 1 threads at least
  cu::launch({.grid = dim3(blocks), .block = dim3(kSortThreads), .stream = stream}, begin_rows, begin);
}

// The order of joining depends on the picks alone: each lane its share in their order, then lanes as a tree.
__global__ void __launch_bounds__(kAddThreads) add_rows(AddRows add, std::int64_t column_tiles) {
  CU_SHARED(float, sums, [kAddThreads]);
  const int column_in_tile = static_cast<int>(threadIdx.x) % add.columns;
  const int lane = static_cast<int>(threadIdx.x) / add.columns % add.lanes;
  const int units_a_block = kAddThreads / (add.columns * add.lanes);
  const std::int64_t unit =
      static_cast<std::int64_t>(blockIdx.x) * units_a_block + static_cast<int>(threadIdx.x) / (add.columns * add.lanes);
  const std::int64_t row = unit / column_tiles, column = unit % column_tiles * add.columns + column_in_tile;
  const bool inside = row < add.outer * add.rows && column < add.inner;

  float sum = 0;
  if (inside) {
    const std::int64_t outer = row / add.rows, k = row % add.rows;
    const float* from = add.x + outer * add.picks * add.inner + column;
    if (add.begins[add.rows] != add.picks) sum = NAN;
    const int end = add.begins[k + 1];
    for (int i = add.begins[k] + lane; i < end; i += add.lanes) sum += from[add.order[i] * add.inner];
  }
  sums[threadIdx.x] = sum;
  for (int half = add.lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) sums[threadIdx.x] += sums[static_cast<int>(threadIdx.x) + half * add.columns];
  }
  if (inside && lane == 0) add.y[row * add.inner + column] = sums[threadIdx.x];
}

void add(cu::Stream stream, const AddRows& add) {
  const std::int64_t tiles = (add.inner + add.columns - 1) / add.columns;
  const std::int64_t units_a_block = kAddThreads / (add.columns * add.lanes);
  const auto blocks = static_cast<unsigned>((add.outer * add.rows * tiles + units_a_block - 1) / units_a_block);
  cu::launch({.grid = dim3(blocks), .block = dim3(kAddThreads), .stream = stream}, add_rows, add, tiles);
}

}  // namespace

template <>
const PickedRowsKernels& picked_rows_kernels<cu::Build>() {
  static constexpr PickedRowsKernels table = {.take = take, .sort = sort, .begin = begin, .add = add};
  return table;
}

}  // namespace gesso::cuda
