#include "cuda/multiply.h"

#include <algorithm>

#include "core/error.h"
#include "cuda/convolution.h"
#include "cuda/elementwise.h"
#include "cuda/entry.h"
#include "cuda/matmul.h"

namespace gesso::cuda {
namespace {

TableByDevice<ProductKernels> tables;

constexpr std::int64_t kMost = std::int64_t{1} << 30;  // positions of an axis, pixels of a side, blocks

// Two blocks for each of the 132 multiprocessors of an H200 keep it busy; a part of fewer terms costs more to be joined
// than it saves.
constexpr std::int64_t kBlocksWanted = 264, kLeastTerms = 256;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

bool in_fours(std::initializer_list<std::int64_t> numbers) {
  return std::ranges::all_of(numbers, [](std::int64_t number) { return number % kVector == 0; });
}
// Whether from each fourth position four elements can be read at once, and none of them is another row's or tap's.
bool holds_vectors(const ProductAxis& axis) {
  const std::int64_t neighbours = axis.plain ? axis.size : axis.c.value();
  return axis.c_step == 1 && in_fours({neighbours, axis.first, axis.n_step, axis.h_step, axis.w_step});
}
bool keeps_vectors(const ProductAxis& axis) {
  return in_fours({axis.first, axis.n_step, axis.h_step, axis.w_step, axis.c_step});
}
bool in_vectors(const ProductOperand& operand) {
  const bool along_terms = holds_vectors(operand.terms) && keeps_vectors(operand.outer);
  const bool along_outer = holds_vectors(operand.outer) && keeps_vectors(operand.terms);
  return (along_terms || along_outer) && in_fours({operand.matrix_step}) && vectors_at(operand.data);
}
bool c_in_vectors(const Product& p) {
  return in_fours({p.b.outer.size, p.c_matrix_step}) && keeps_vectors(p.rows) && vectors_at(p.c) &&
         vectors_at(p.epilogue.residual);
}

void check_sizes(const Product& p) {
  for (const std::int64_t size : {p.a.outer.size, p.b.outer.size, p.a.terms.size, p.matrices})
    if (size >= kMost) fail("a product along {} positions: more than 2^30 of them; use a smaller train.batch", size);
}

}  // namespace

ProductAxis plain_axis(std::int64_t size, std::int64_t step) {
  ProductAxis axis;
  axis.size = size;
  axis.c_step = step;
  return axis;
}

void multiply(const Execution& run, Product p) {
  const std::int64_t rows = p.a.outer.size, columns = p.b.outer.size, terms = p.a.terms.size;
  if (rows == 0 || columns == 0 || p.matrices == 0) return;
  check_sizes(p);
  p.in_vectors = in_vectors(p.a) && in_vectors(p.b);
  p.a_along_terms = p.a.terms.c_step == 1;
  p.b_along_terms = p.b.terms.c_step == 1;
  p.row_tiles = static_cast<int>(divide_up(rows, kProductRows));
  p.column_tiles = static_cast<int>(divide_up(columns, kProductColumns));
  const std::int64_t tiles = p.matrices * p.row_tiles * p.column_tiles;
  if (tiles >= kMost) fail("a product of {} tiles: more than 2^30 of them; use a smaller train.batch", tiles);

  const std::int64_t parts = std::max<std::int64_t>(1, std::min(kBlocksWanted / tiles, terms / kLeastTerms));
  p.terms_a_part = static_cast<int>(divide_up(divide_up(terms, parts), kProductTerms) * kProductTerms);
  p.parts = static_cast<int>(std::max<std::int64_t>(1, divide_up(terms, std::max(1, p.terms_a_part))));
  p.c_in_vectors = c_in_vectors(p);
  const ProductKernels& kernels = tables.of(run);
  if (p.parts == 1) return kernels.multiply(stream_of(run), p);

  const Tensor sums = run.scratch({{p.parts, p.matrices, rows, columns}, DType::f32});
  Product part = p;
  part.epilogue = {};
  part.c = pointer<float>(sums);
  part.rows = plain_axis(rows, columns);
  part.c_matrix_step = rows * columns;
  part.c_part_step = p.matrices * rows * columns;
  part.c_in_vectors = c_in_vectors(part);
  kernels.multiply(stream_of(run), part);
  kernels.join(stream_of(run), p, part.c);
}

void register_product(DeviceKind device, const ProductKernels& kernels) {
  tables.set(device, kernels);
  register_matmul(device);
  register_convolutions(device);
}

}  // namespace gesso::cuda
