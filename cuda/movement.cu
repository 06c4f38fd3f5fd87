#include "cuda/movement.h"
#include "cuda/unit_kernel.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kUnitsALane = 8;
constexpr int kTile = 32;

// Where a row, or a matrix, begins on both sides.
struct Begin {
  std::int64_t from, to;
  bool inside;
};
__device__ __forceinline__ Begin begin_of(const MoveDimension* dims, int rank, std::uint32_t number, bool repeat_edge) {
  Begin begin{0, 0, true};
  CU_UNROLL
  for (int d = 0; d < kMoveRank; ++d) {
    if (d >= rank) break;
    const MoveDimension& dim = dims[d];
    const std::uint32_t outer = dim.size.quotient(number);
    const std::int64_t digit = number - outer * dim.size.value();
    number = outer;
    std::int64_t place = digit + dim.offset;
    if (repeat_edge)
      place = place < 0 ? 0 : place < dim.from_size ? place : dim.from_size - 1;
    else
      begin.inside = begin.inside && place >= 0 && place < dim.from_size;
    begin.from += place * dim.from_step;
    begin.to += digit * dim.to_step;
  }
  return begin;
}

// A row may be several blocks' work.
template <class Unit>
__global__ void __launch_bounds__(kThreads) move_rows(const __grid_constant__ MoveRows move, unsigned pieces) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x / pieces) * (kThreads / move.lanes) +
                           static_cast<int>(threadIdx.x) / move.lanes;
  if (row >= move.rows) return;
  const Begin begin = begin_of(move.dim, move.rank, static_cast<std::uint32_t>(row), move.repeat_edge);
  const bool inside = begin.inside && move.from != nullptr;
  const Unit* from = static_cast<const Unit*>(move.from) + begin.from;
  Unit* to = static_cast<Unit*>(move.to) + begin.to;
  const std::int64_t first = blockIdx.x % pieces * (kUnitsALane * move.lanes);
  const std::int64_t end = first + kUnitsALane * move.lanes;
  for (std::int64_t i = first + static_cast<int>(threadIdx.x) % move.lanes; i < end && i < move.width;
       i += move.lanes) {
    const std::int64_t at = i + move.offset;
    cu::store_as(to + i,
                 inside && at >= 0 && at < move.from_width ? cu::load_as<Unit>(from + at) : same_bits<Unit>(false));
  }
}

void rows(cu::Stream stream, const MoveRows& move) {
  const std::int64_t rows_a_block = kThreads / move.lanes, units_a_piece = kUnitsALane * move.lanes;
  const auto pieces = static_cast<unsigned>((move.width + units_a_piece - 1) / units_a_piece);
  const auto blocks = static_cast<unsigned>((move.rows + rows_a_block - 1) / rows_a_block) * pieces;
  with_unit(move.unit, [&]<class Unit>() {
    cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, move_rows<Unit>, move, pieces);
  });
}

// Through shared memory, so that both sides are read and written along their rows. One element more a row: columns lie
// in different banks.
template <class Element>
__global__ void __launch_bounds__(kThreads)
    transpose(const __grid_constant__ MoveTransposed move, unsigned row_tiles, unsigned column_tiles) {
  CU_SHARED(Element, tile, [kTile][kTile + 1]);
  const unsigned number = blockIdx.x / column_tiles;
  const Begin begin = begin_of(move.dim, move.rank, number / row_tiles, false);
  const std::int64_t row = static_cast<std::int64_t>(number % row_tiles) * kTile;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x % column_tiles) * kTile;
  const Element* from = static_cast<const Element*>(move.from) + begin.from;
  Element* to = static_cast<Element*>(move.to) + begin.to;
  const int lane = static_cast<int>(threadIdx.x) % kTile;
  for (int i = static_cast<int>(threadIdx.x) / kTile; i < kTile; i += kThreads / kTile)
    if (row + i < move.rows && column + lane < move.columns)
      tile[i][lane] = from[(row + i) * move.from_step + column + lane];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x) / kTile; i < kTile; i += kThreads / kTile)
    if (column + i < move.columns && row + lane < move.rows)
      to[(column + i) * move.to_step + row + lane] = tile[lane][i];
}

template <class Element>
void transpose_elements(cu::Stream stream, const MoveTransposed& move) {
  const auto row_tiles = static_cast<unsigned>((move.rows + kTile - 1) / kTile);
  const auto column_tiles = static_cast<unsigned>((move.columns + kTile - 1) / kTile);
  const unsigned blocks = static_cast<unsigned>(move.matrices) * row_tiles * column_tiles;
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, transpose<Element>, move, row_tiles,
             column_tiles);
}

void transposed(cu::Stream stream, const MoveTransposed& move) {
  switch (move.element) {
    case 1:
      return transpose_elements<std::uint8_t>(stream, move);
    case 2:
      return transpose_elements<std::uint16_t>(stream, move);
    case 4:
      return transpose_elements<std::uint32_t>(stream, move);
    default:
      return transpose_elements<std::uint64_t>(stream, move);
  }
}

__global__ void __launch_bounds__(kThreads) add_padding(const __grid_constant__ AddRepeats add) {
  const std::int64_t element = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (element >= add.count) return;
  std::uint32_t places[kMoveRank] = {}, all = 1;
  std::int64_t first = 0;
  auto rest = static_cast<std::uint32_t>(element);
  CU_UNROLL
  for (int d = 0; d < kMoveRank; ++d) {
    if (d >= add.rank) continue;
    const RepeatDimension& dim = add.dim[d];
    const std::uint32_t outer = dim.size.quotient(rest), place = rest - outer * dim.size.value();
    rest = outer;
    const std::int64_t begin = place == 0 ? 0 : place + dim.before;
    const std::int64_t end = place + 1 == dim.size.value() ? dim.padded : place + dim.before + 1;
    places[d] = static_cast<std::uint32_t>(end - begin);
    all *= places[d];
    first += begin * dim.step;
  }
  float sum = 0;
  for (std::uint32_t n = 0; n < all; ++n) {
    std::int64_t at = first;
    std::uint32_t number = n;
    CU_UNROLL
    for (int d = 0; d < kMoveRank; ++d) {
      if (d >= add.rank) continue;
      at += number % places[d] * add.dim[d].step;
      number /= places[d];
    }
    sum += add.dy[at];
  }
  add.dx[element] = sum;
}

void add_repeats(cu::Stream stream, const AddRepeats& add) {
  const auto blocks = static_cast<unsigned>((add.count + kThreads - 1) / kThreads);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, add_padding, add);
}

}  // namespace

template <>
const MovementKernels& movement_kernels<cu::Build>() {
  static constexpr MovementKernels table = {.rows = rows, .transposed = transposed, .add_repeats = add_repeats};
  return table;
}

}  // namespace gesso::cuda
