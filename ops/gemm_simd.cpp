#include "ops/gemm_simd.h"

#include "core/simd.h"
#include "ops/gemm_tile.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

constexpr int kRows = TileSize<Tag>::kRows, kVectors = TileSize<Tag>::kVectors;
constexpr int kColumns = kVectors * V::kLanes;
static_assert(kRows <= GemmKernels::kMaxRows);

// Calls run(register tile) with one that computes no more vectors of columns than are stored.
template <class Run>
[[gnu::always_inline]] inline void with_vectors(int64_t columns, Run run) {
  const int64_t vectors = (columns + V::kLanes - 1) / V::kLanes;
  if (vectors == kVectors) return run(RegisterTile<Tag, kRows, kVectors, kColumns>());
  if constexpr (kVectors > 2) {
    if (vectors == 3) return run(RegisterTile<Tag, kRows, 3, kColumns>());
    if (vectors == 2) return run(RegisterTile<Tag, kRows, 2, kColumns>());
  }
  run(RegisterTile<Tag, kRows, 1, kColumns>());
}

void tile(const GemmTile& tile) {
  with_vectors(tile.column_count, [&](auto registers) { registers.run(tile); });
}

void multiply_rows(const GemmRows& rows) {
  with_vectors(rows.column_count, [&](auto registers) { registers.run_rows(rows); });
}

void copy(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; ++i)
    simd::map<Tag>(
        columns, [](V x) { return x; }, to + i * to_stride, from + i * from_stride);
}

void gather(int64_t rows, int64_t columns, const float* const* from, int64_t first, float* to, int64_t to_stride) {
  const auto keep = [](V x) { return x; };
  if (columns == kColumns)  // a whole panel's width: known to the compiler
    for (int64_t i = 0; i < rows; ++i) simd::map<Tag>(kColumns, keep, to + i * to_stride, from[i] + first);
  else
    for (int64_t i = 0; i < rows; ++i) simd::map<Tag>(columns, keep, to + i * to_stride, from[i] + first);
}

void transpose(int64_t rows, int64_t columns, const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4)
      simd::transpose_4x4<Tag>(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
    for (; j < columns; ++j)
      for (int64_t k = i; k < i + 4; ++k) to[j * to_stride + k] = from[k * from_stride + j];
  }
  for (; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * to_stride + i] = from[i * from_stride + j];
}

void sum_rows(int64_t rows, int64_t columns, const float* x, int64_t stride, float* sums) {
  simd::for_each_vector<Tag>(columns, [&](int64_t j, int64_t count) {
    V sum = 0.0f;
    for (int64_t i = 0; i < rows; ++i) sum = sum + V::load(x + i * stride + j, count);
    sum.store(sums + j, count);
  });
}

void activation_backward(int64_t n, Activation activation, const float* kept, const float* dy, float* dx) {
  if (activation == Activation::relu)
    simd::map<Tag>(
        n, [](V y, V g) { return select(V(0.0f) < y, g, V(0.0f)); }, dx, kept, dy);
  else if (activation == Activation::silu)
    simd::map<Tag>(
        n,
        [](V x, V g) {
          const V s = simd::sigmoid(x);
          return g * s * fma(x, V(1.0f) - s, V(1.0f));
        },
        dx, kept, dy);
  else
    simd::map<Tag>(
        n, [](V g) { return g; }, dx, dy);
}

}  // namespace

template <>
const GemmKernels& gemm_kernels<Tag>() {
  static constexpr GemmKernels table = {.rows = kRows,
                                        .columns = kColumns,
                                        .tile = tile,
                                        .multiply_rows = multiply_rows,
                                        .copy = copy,
                                        .gather = gather,
                                        .transpose = transpose,
                                        .sum_rows = sum_rows,
                                        .activation_backward = activation_backward};
  return table;
}

}  // namespace gesso
