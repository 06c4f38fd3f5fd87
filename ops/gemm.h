// Matrix products on the CPU. All of them, and all convolutions (ops/convolution.h), run on the one register tile of
// ops/gemm_simd.h: rows given by pointers times packed panels. Every sum is taken in an order that depends on shapes
// only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ops/gemm_simd.h"
#include "ops/op.h"

namespace gesso::gemm {

const GemmKernels& kernels(Isa isa);

// C[m,n] = op(A) op(B) with op(A) [m,k] and op(B) [k,n]; a transposed operand lies in memory as [k,m] or [n,k].
struct Shape {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  // Floats from one row in memory to the next; 0: dense.
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
};
// C = dropout(activation(op(A) op(B) + bias + residual)). The epilogue's residual has C's strides.
void multiply(const Execution& run, const Shape& shape, const float* a, const float* b, float* c,
              const GemmEpilogue& epilogue = {});

inline bool is_empty(const GemmEpilogue& epilogue) {
  return epilogue.bias == nullptr && epilogue.residual == nullptr && epilogue.activation == Activation::none &&
         epilogue.kept.bits == nullptr;
}
// The same for the columns from `column` on.
GemmEpilogue from_column(const GemmEpilogue& epilogue, std::int64_t column);
// The same for the rows of one image from that offset on.
GemmEpilogue from_row(const GemmEpilogue& epilogue, std::int64_t offset);

// sums[columns] = sum of x[rows,columns] over the rows.
void sum_rows(const Execution& run, std::int64_t rows, std::int64_t columns, const float* x, float* sums);
// sums[images,columns] = those of each image [rows,columns] of x.
void sum_rows_of_images(const Execution& run, std::int64_t images, std::int64_t rows, std::int64_t columns,
                        const float* x, float* sums);

// dx[n] = dy[n] times the derivative of the activation; kept: its result for relu, its argument for silu.
void activation_backward(const Execution& run, std::int64_t n, Activation activation, const float* kept,
                         const float* dy, float* dx);

// --- What the products are made of; ops/convolution.cpp builds on it.

// A right operand, packed: panel p holds columns [p * width, (p + 1) * width) as [taps][channels][width], anything
// beyond the last.
class Panels {
 public:
  Panels(const Execution& run, std::int64_t taps, std::int64_t channels, std::int64_t columns);
  std::int64_t count() const { return count_; }
  float* panel(std::int64_t p) const { return memory_ + p * taps * channels * width; }

  std::int64_t taps, channels, columns, width;

 private:
  std::int64_t count_;
  Tensor storage_;
  float* memory_;
};

// A left operand and where its product goes: tiles of GemmKernels::rows rows, the last one perhaps with fewer.
struct Rows {
  std::int64_t count = 0;
  std::vector<const float*> pointers;  // [tiles][taps][GemmKernels::rows], unused ones to anything readable
  std::vector<std::int64_t> offsets;   // [tiles * GemmKernels::rows], of the result's rows, in floats
};

// c[row, column] = epilogue(rows times panels), for the panels [begin, end); add: to what c holds, before the epilogue.
void multiply_rows(const GemmKernels& kernels, const Rows& rows, const Panels& panels, std::int64_t begin,
                   std::int64_t end, float* c, const GemmEpilogue& epilogue, bool add = false);

// How work of `rows` rows and `panels` panels is cut into chunks: by shape only.
struct Partition {
  std::int64_t rows_each, row_blocks, panels_each, panel_blocks;
  std::int64_t chunks() const { return row_blocks * panel_blocks; }
};
Partition partition(const GemmKernels& kernels, std::int64_t rows, std::int64_t panels);

// Products of one shape, one after the other: they share how they are cut and the memory of packed operands.
class Product {
 public:
  // workers: that multiply at a time; 1 inside a body of the pool, else as many as the pool has threads.
  Product(const Execution& run, const Shape& shape, int workers);
  // As gesso::gemm::multiply.
  void multiply(const float* a, const float* b, float* c, const GemmEpilogue& epilogue = {});

 private:
  const Execution& run_;
  Shape shape_;
  const GemmKernels& kernels_;
  Panels panels_;
  Partition parts_;
  Tensor packed_;           // [workers,rows of a chunk,...]: op(A), where it does not lie as rows in memory
  std::vector<Rows> rows_;  // [workers]
};

}  // namespace gesso::gemm
