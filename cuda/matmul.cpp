#include "cuda/matmul.h"

#include "cuda/bilinear.h"
#include "cuda/multiply.h"
#include "ops/matmul.h"

namespace gesso::cuda {
namespace {

// A batch of matrices as they lie, or transposed.
struct Matrices {
  float* data;
  std::int64_t rows, columns, row_step, column_step;

  std::int64_t step() const { return rows * columns; }  // from one matrix to the next
  Matrices transposed() const { return {data, columns, rows, column_step, row_step}; }
};

Matrices matrices(const Tensor& t, bool transposed) {
  const std::int64_t rows = t.dim(-2), columns = t.dim(-1);
  const Matrices lying{pointer<float>(t), rows, columns, columns, 1};
  return transposed ? lying.transposed() : lying;
}
std::int64_t batch(const Tensor& t) {
  std::int64_t count = 1;
  for (int d = 0; d + 2 < t.shape().rank(); ++d) count *= t.dim(d);
  return count;
}

// c = activation(a b + ...); where c lies transposed, as c^T = b^T a^T, and without an epilogue.
void multiply_all(const Execution& run, std::int64_t batch, const Matrices& a, const Matrices& b, const Matrices& c,
                  const ProductEpilogue& epilogue = {}) {
  if (c.column_step != 1) return multiply_all(run, batch, b.transposed(), a.transposed(), c.transposed());
  Product p;
  p.a = {.data = a.data,
         .outer = plain_axis(a.rows, a.row_step),
         .terms = plain_axis(a.columns, a.column_step),
         .matrix_step = a.step()};
  p.b = {.data = b.data,
         .outer = plain_axis(b.columns, b.column_step),
         .terms = plain_axis(b.rows, b.row_step),
         .matrix_step = b.step()};
  p.epilogue = epilogue;
  p.c = c.data;
  p.rows = plain_axis(c.rows, c.row_step);
  p.matrices = batch;
  p.c_matrix_step = c.step();
  multiply(run, p);
}

struct Matmul {
  using Attrs = ops::MatmulAttrs;

  static void forward(const Execution& run, const Attrs& attrs, const Tensor& a, const Tensor& b, const Tensor& y,
                      const ProductEpilogue& epilogue) {
    multiply_all(run, batch(y), matrices(a, attrs.transpose_a), matrices(b, attrs.transpose_b), matrices(y, false),
                 epilogue);
  }
  static void input_gradient(const Execution& run, const Attrs& attrs, const Tensor& dy, const Tensor& b,
                             const Tensor& da) {
    multiply_all(run, batch(dy), matrices(dy, false), matrices(b, !attrs.transpose_b), matrices(da, attrs.transpose_a));
  }
  static void weight_gradient(const Execution& run, const Attrs& attrs, const Tensor& a, const Tensor& dy,
                              const Tensor& db) {
    multiply_all(run, batch(dy), matrices(a, !attrs.transpose_a), matrices(dy, false), matrices(db, attrs.transpose_b));
  }
};

}  // namespace

void register_matmul(DeviceKind device) { register_kernels(device, "matmul", kBilinear<Matmul>); }

}  // namespace gesso::cuda
