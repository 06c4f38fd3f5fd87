// A block computes a tile of kProductRows x kProductColumns, each thread 8 x 8 of it as four squares of 4 x 4. It goes
// along the terms in steps: while a step is multiplied out of shared memory, the next one is on its way from global
// memory to registers; then it is stored into the other of two stages.
#include "cuda/cu.h"
#include "cuda/logistic.h"
#include "cuda/product.h"
#include "cuda/vector.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kRows = kProductRows, kColumns = kProductColumns, kTerms = kProductTerms;
constexpr int kOutside = -(1 << 30);  // what no image reaches, whatever is added

struct Point {
  std::int64_t offset;
  int y, x;
};

__device__ __forceinline__ Point point_at(const ProductAxis& axis, int position, int end) {
  if (position >= end) return {0, kOutside, 0};
  if (axis.plain) return {axis.first + position * axis.c_step, 0, 0};
  const auto index = static_cast<std::uint32_t>(position);
  const std::uint32_t above_c = axis.c.quotient(index), above_w = axis.w.quotient(above_c);
  const std::uint32_t n = axis.h.quotient(above_w);
  const std::uint32_t c = index - above_c * axis.c.value(), w = above_c - above_w * axis.w.value();
  const std::uint32_t h = above_w - n * axis.h.value();
  return {axis.first + n * axis.n_step + h * axis.h_step + w * axis.w_step + c * axis.c_step,
          axis.y_first + static_cast<int>(h) * axis.y_step, axis.x_first + static_cast<int>(w) * axis.x_step};
}

// Where the elements of one term lie in a tile [kTerms,kWidth] of shared memory: moved about so that the threads of a
// warp that store chunks along the terms, as columns, meet each of the 32 banks once.
__device__ __forceinline__ int swizzled(int outer, int term) {
  return outer ^ term / kVector * (32 * kVector / kTerms);
}

// A thread's share of an operand's tiles: chunks along terms or along outer.
template <int kWidth, bool kAlongTerms, bool kVectors>
class Fetch {
  static_assert(kVectors || !kAlongTerms);

 public:
  __device__ __forceinline__ Fetch(const ProductOperand& operand, std::int64_t matrix, int first)
      : operand_(operand), data_(operand.data + matrix * operand.matrix_step) {
    const auto end = static_cast<int>(operand.outer.size);
    CU_UNROLL
    for (int i = 0; i < kPoints; ++i)
      outer_[i] = point_at(operand.outer, first + (kAlongTerms ? outer_at(i) : outer_at(0) + i), end);
  }

  // Terms [first, first + kTerms), zeros from `end` on, to registers.
  __device__ __forceinline__ void load(int first, int end) {
    if constexpr (kAlongTerms) {
      const Point term = point_at(operand_.terms, first + term_at(0), end);
      CU_UNROLL
      for (int i = 0; i < kChunks; ++i) read(chunks_[i], outer_[i], term);
    } else {
      CU_UNROLL
      for (int i = 0; i < kChunks; ++i) {
        const Point term = point_at(operand_.terms, first + term_at(i), end);
        CU_UNROLL
        for (int j = 0; j < kPoints; ++j) read(chunks_[i] + j, outer_[j], term);
      }
    }
  }

  // What was loaded, to a tile [kTerms,kWidth].
  __device__ __forceinline__ void store(float* tile) const {
    CU_UNROLL
    for (int i = 0; i < kChunks; ++i) {
      float* to = tile + term_at(i) * kWidth + swizzled(outer_at(i), term_at(i));
      const float* chunk = chunks_[i];
      if constexpr (kAlongTerms) {
        CU_UNROLL
        for (int j = 0; j < kVector; ++j) to[j * kWidth] = chunk[j];
      } else {
        cu::store_as(to, make_float4(chunk[0], chunk[1], chunk[2], chunk[3]));
      }
    }
  }

 private:
  static constexpr int kChunks = kWidth * kTerms / (kThreads * kVector);
  static constexpr int kPoints = kAlongTerms ? kChunks : kVectors ? 1 : kVector;
  static constexpr int kAcross = kAlongTerms ? kTerms / kVector : kWidth / kVector;  // neighbouring threads

  static __device__ __forceinline__ int outer_at(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kAlongTerms ? thread / kAcross + i * (kThreads / kAcross) : thread % kAcross * kVector;
  }
  static __device__ __forceinline__ int term_at(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kAlongTerms ? thread % kAcross * kVector : thread / kAcross + i * (kThreads / kAcross);
  }
  // One element, or a chunk.
  __device__ __forceinline__ void read(float* to, const Point& outer, const Point& term) const {
    const bool inside = static_cast<unsigned>(outer.y + term.y) < static_cast<unsigned>(operand_.height) &&
                        static_cast<unsigned>(outer.x + term.x) < static_cast<unsigned>(operand_.width);
    const float* from = data_ + (outer.offset + term.offset);
    if constexpr (kVectors) {
      const float4 chunk = inside ? cu::load_as<float4>(from) : make_float4(0, 0, 0, 0);
      to[0] = chunk.x, to[1] = chunk.y, to[2] = chunk.z, to[3] = chunk.w;
    } else {
      to[0] = inside ? *from : 0.0f;
    }
  }

  const ProductOperand& operand_;
  const float* data_;
  Point outer_[kPoints];
  float chunks_[kChunks][kVector];
};

// Row i and column i, 0 <= i < 8, of a thread's share, in the tile.
__device__ __forceinline__ int row_in_tile(int i) {
  return static_cast<int>(threadIdx.x) / 8 * 4 + i / 4 * (kRows / 2) + i % 4;
}
__device__ __forceinline__ int column_in_tile(int i) {
  return static_cast<int>(threadIdx.x) % 8 * 4 + i / 4 * (kColumns / 2) + i % 4;
}

__device__ __forceinline__ void multiply_step(float (&sums)[8][8], const float* a_tile, const float* b_tile) {
  CU_UNROLL
  for (int term = 0; term < kTerms; ++term) {
    float a[8], b[8];
    CU_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float4 four = cu::load_as<float4>(a_tile + term * kRows + swizzled(row_in_tile(half * 4), term));
      a[half * 4] = four.x, a[half * 4 + 1] = four.y, a[half * 4 + 2] = four.z, a[half * 4 + 3] = four.w;
    }
    CU_UNROLL
    for (int half = 0; half < 2; ++half) {
      const float4 four = cu::load_as<float4>(b_tile + term * kColumns + swizzled(column_in_tile(half * 4), term));
      b[half * 4] = four.x, b[half * 4 + 1] = four.y, b[half * 4 + 2] = four.z, b[half * 4 + 3] = four.w;
    }
    CU_UNROLL
    for (int i = 0; i < 8; ++i) {
      CU_UNROLL
      for (int j = 0; j < 8; ++j) sums[i][j] += a[i] * b[j];
    }
  }
}

__device__ __forceinline__ float activated(float sum, Activation activation) {
  if (activation == Activation::relu) return sum < 0.0f ? 0.0f : sum;
  if (activation == Activation::silu) return silu(sum);
  return sum;
}

// Four neighbours along a row of c, or the first `count` of them. at: of the first one, from c; column: its bias.
__device__ __forceinline__ void write_chunk(const Product& p, const float* sums, int count, std::int64_t at,
                                            std::int64_t column) {
  Vector<float> bias{}, residual{}, results;
  if (p.epilogue.bias != nullptr) bias = load_up_to(p.epilogue.bias + column, count, false);
  if (p.epilogue.residual != nullptr) residual = load_up_to(p.epilogue.residual + at, count, p.c_in_vectors);
  CU_UNROLL
  for (int j = 0; j < kVector; ++j)
    results.at[j] = activated(sums[j] + bias.at[j] + residual.at[j], p.epilogue.activation);
  store_up_to(p.c + at, results, count, p.c_in_vectors);
}

// A tile's place in the grid, and where its terms begin and end.
struct Tile {
  int row, column, part, first_term, end_term;
  std::int64_t matrix;
};
__device__ __forceinline__ Tile tile_of_block(const Product& p) {
  const auto block = static_cast<int>(blockIdx.x);
  const int above_column = block / p.column_tiles, above_row = above_column / p.row_tiles;
  Tile tile;
  tile.column = block % p.column_tiles * kColumns;
  tile.row = above_column % p.row_tiles * kRows;
  tile.part = above_row % p.parts;
  tile.matrix = above_row / p.parts;
  const auto terms = static_cast<int>(p.a.terms.size);
  tile.first_term = tile.part * p.terms_a_part;
  tile.end_term = terms - tile.first_term < p.terms_a_part ? terms : tile.first_term + p.terms_a_part;
  return tile;
}

__device__ __forceinline__ void write_tile(const Product& p, const Tile& tile, const float (&sums)[8][8]) {
  const auto rows = static_cast<int>(p.a.outer.size), columns = static_cast<int>(p.b.outer.size);
  CU_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int row = tile.row + row_in_tile(i);
    const std::int64_t row_at =
        tile.part * p.c_part_step + tile.matrix * p.c_matrix_step + point_at(p.rows, row, rows).offset;
    CU_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int column = tile.column + column_in_tile(half * 4);
      if (row < rows && column < columns)
        write_chunk(p, sums[i] + half * 4, columns - column, row_at + column,
                    tile.matrix * p.bias_matrix_step + column);
    }
  }
}

template <bool kAAlongTerms, bool kBAlongTerms, bool kVectors>
__global__ void __launch_bounds__(kThreads) multiply(const __grid_constant__ Product p) {
  CU_SHARED(float4, a_tiles, [2][kTerms * kRows / 4]);     // [2,kTerms,kRows]
  CU_SHARED(float4, b_tiles, [2][kTerms * kColumns / 4]);  // [2,kTerms,kColumns]
  const Tile tile = tile_of_block(p);
  Fetch<kRows, kAAlongTerms, kVectors> a(p.a, tile.matrix, tile.row);
  Fetch<kColumns, kBAlongTerms, kVectors> b(p.b, tile.matrix, tile.column);
  const auto load = [&](int term) {
    a.load(term, tile.end_term);
    b.load(term, tile.end_term);
  };
  const auto store = [&](int stage) {
    a.store(&a_tiles[stage][0].x);
    b.store(&b_tiles[stage][0].x);
  };
  float sums[8][8] = {};
  load(tile.first_term);
  store(0);
  int stage = 0;
  for (int term = tile.first_term; term < tile.end_term; term += kTerms) {
    __syncthreads();  // this stage is written, and the other one has been read
    const bool more = term + kTerms < tile.end_term;
    if (more) load(term + kTerms);
    multiply_step(sums, &a_tiles[stage][0].x, &b_tiles[stage][0].x);
    stage ^= 1;
    if (more) store(stage);
  }
  write_tile(p, tile, sums);
}

constexpr int kJoinThreads = 256;

// An element of c a thread; parts in their order.
__global__ void __launch_bounds__(kJoinThreads)
    join(const __grid_constant__ Product p, const float* sums, std::uint32_t count, Divisor rows, Divisor columns) {
  const std::uint32_t element = blockIdx.x * kJoinThreads + threadIdx.x;
  if (element >= count) return;
  float sum = 0;
  for (int part = 0; part < p.parts; ++part) sum += sums[static_cast<std::int64_t>(part) * count + element];
  const std::uint32_t above_column = columns.quotient(element), matrix = rows.quotient(above_column);
  const std::int64_t column = element - above_column * columns.value();
  const auto row = static_cast<int>(above_column - matrix * rows.value());
  const std::int64_t at =
      matrix * p.c_matrix_step + point_at(p.rows, row, static_cast<int>(rows.value())).offset + column;
  if (p.epilogue.bias != nullptr) sum += p.epilogue.bias[matrix * p.bias_matrix_step + column];
  if (p.epilogue.residual != nullptr) sum += p.epilogue.residual[at];
  p.c[at] = activated(sum, p.epilogue.activation);
}

void run_multiply(cu::Stream stream, const Product& p) {
  const auto blocks = static_cast<unsigned>(p.matrices * p.parts * p.row_tiles * p.column_tiles);
  const auto run = [&](auto* kernel) {
    cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, kernel, p);
  };
  if (!p.in_vectors) return run(multiply<false, false, false>);
  if (p.a_along_terms) return run(p.b_along_terms ? multiply<true, true, true> : multiply<true, false, true>);
  run(p.b_along_terms ? multiply<false, true, true> : multiply<false, false, true>);
}

void run_join(cu::Stream stream, const Product& p, const float* sums) {
  const auto count = static_cast<std::uint32_t>(p.matrices * p.a.outer.size * p.b.outer.size);
  const unsigned blocks = (count + kJoinThreads - 1) / kJoinThreads;
  cu::launch({.grid = dim3(blocks), .block = dim3(kJoinThreads), .stream = stream}, join, p, sums, count,
             Divisor(p.a.outer.size), Divisor(p.b.outer.size));
}

}  // namespace

template <>
const ProductKernels& product_kernels<cu::Build>() {
  static constexpr ProductKernels table = {.multiply = run_multiply, .join = run_join};
  return table;
}

}  // namespace gesso::cuda
