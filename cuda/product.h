// The kernels of all products: matrices times matrices, where a matrix may be an image seen through the taps of a
// convolution (implicit GEMM: nothing is copied out). matmul, conv2d and conv_transpose2d run on them, all passes.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/divisor.h"
#include "ops/activation.h"

namespace gesso::cuda {

// Positions along an axis of a matrix, as digits n, h, w, c, the last one fastest: what each adds to an element's
// offset in memory and, through h and w, to the pixel (y, x) that the element belongs to.
struct ProductAxis {
  std::int64_t size = 0;
  bool plain = true;               // one digit, c, and pixel (0, 0): no division
  Divisor h = {}, w = {}, c = {};  // sizes of the digits
  std::int64_t first = 0, n_step = 0, h_step = 0, w_step = 0, c_step = 0;  // in elements
  int y_first = 0, y_step = 0, x_first = 0, x_step = 0;
};

// The element at a position of each axis lies at the sum of their offsets; where the sum of their pixels is not in
// [0, height) x [0, width), it is zero, and nothing is read.
struct ProductOperand {
  const float* data = nullptr;
  ProductAxis outer;  // a's rows, b's columns
  ProductAxis terms;  // what is summed over
  int height = 1, width = 1;
  std::int64_t matrix_step = 0;  // from one matrix of the batch to the next
};

struct ProductEpilogue {
  const float* bias = nullptr;      // one a column, or null
  const float* residual = nullptr;  // laid out as c, or null
  Activation activation = Activation::none;
};

// c = activation(a b + bias + residual), for each matrix of a batch. Cut into tiles of rows and columns, and where
// these are few and sums are long, the terms into parts that are joined in order afterwards.
struct Product {
  ProductOperand a, b;
  ProductEpilogue epilogue;
  float* c = nullptr;
  ProductAxis rows;  // of c; its columns are neighbours
  std::int64_t matrices = 1, c_matrix_step = 0, bias_matrix_step = 0;

  // How it is done (cuda/multiply.h fills it in).
  bool in_vectors = false;  // a and b are read four elements at a time, neighbours along terms or else along outer:
  bool a_along_terms = false, b_along_terms = false;
  bool c_in_vectors = false;  // so are c and residual
  int row_tiles = 0, column_tiles = 0;
  int parts = 1, terms_a_part = 0;
  std::int64_t c_part_step = 0;
};
constexpr int kProductRows = 128, kProductColumns = 64, kProductTerms = 8;  // of a tile, of a step through its terms

struct ProductKernels {
  // Each part is written to c, c_part_step elements from one to the next.
  void (*multiply)(cu::Stream stream, const Product& product);
  // c = activation(the sum of the parts + bias + residual); sums: [parts,matrices,rows,columns].
  void (*join)(cu::Stream stream, const Product& product, const float* sums);
};
template <class Build>
const ProductKernels& product_kernels();

void register_product(DeviceKind device, const ProductKernels& kernels);

}  // namespace gesso::cuda
