#include "ops/matmul.h"

#include "ops/bilinear.h"
#include "ops/reshape.h"

namespace gesso {
namespace {

struct Matmul {
  static constexpr std::string_view name = "matmul";
  static constexpr std::string_view doc =
      "y = activation(op(a) op(b) + bias + residual), op(a)[M,K], op(b)[K,N], bias[N], residual as y; a, b and y may "
      "have a batch "
      "in front; a transposed operand lies as [K,M] or [N,K]";
  using Attrs = ops::MatmulAttrs;

  static gemm::Shape sizes(const Attrs& attrs, const Shape& a, const Shape& b) {
    const int rows = a.rank() - 2, columns = a.rank() - 1;
    return {.m = a[attrs.transpose_a ? columns : rows],
            .n = b[attrs.transpose_b ? rows : columns],
            .k = a[attrs.transpose_a ? rows : columns],
            .transpose_a = attrs.transpose_a,
            .transpose_b = attrs.transpose_b};
  }
  static std::int64_t batch(const Shape& a) { return a.rank() == 3 ? a[0] : 1; }

  static Spec infer(const Attrs& attrs, const Spec& a, const Spec& b) {
    if (a.shape.rank() != b.shape.rank() || a.shape.rank() < 2 || a.shape.rank() > 3)
      fail("matmul: a and b must be two matrices or two batches of them (a {}, b {})", a.text(), b.text());
    if (batch(a.shape) != batch(b.shape))
      fail("matmul: a is a batch of {} but b of {} (a {}, b {})", batch(a.shape), batch(b.shape), a.text(), b.text());
    const gemm::Shape s = sizes(attrs, a.shape, b.shape);
    const std::int64_t b_terms = b.shape[b.shape.rank() - (attrs.transpose_b ? 1 : 2)];
    if (s.k != b_terms)
      fail("matmul: a has {} columns but b has {} rows (a {}{}, b {}{})", s.k, b_terms, a.text(),
           attrs.transpose_a ? " transposed" : "", b.text(), attrs.transpose_b ? " transposed" : "");
    if (a.shape.rank() == 2) return {{s.m, s.n}, a.dtype};
    return {{a.shape[0], s.m, s.n}, a.dtype};
  }
  static double products(const Attrs& attrs, const Shape& a, const Shape& b) {
    const gemm::Shape s = sizes(attrs, a, b);
    return static_cast<double>(batch(a) * s.m) * static_cast<double>(s.n * s.k);
  }
  template <class Visit>
  static void for_each_product(const Attrs& attrs, const Shape& a, const Shape& b, Visit visit) {
    const gemm::Shape s = sizes(attrs, a, b);
    for (std::int64_t row = 0; row < batch(a) * s.m; ++row)
      for (std::int64_t j = 0; j < s.n; ++j)
        for (std::int64_t k = 0; k < s.k; ++k) {
          const std::int64_t matrix = row / s.m, i = row % s.m;
          visit(static_cast<std::size_t>(matrix * s.m * s.k + (s.transpose_a ? k * s.m + i : i * s.k + k)),
                static_cast<std::size_t>(matrix * s.k * s.n + (s.transpose_b ? j * s.k + k : k * s.n + j)),
                static_cast<std::size_t>(row * s.n + j));
        }
  }

  // c = op(a) op(b), matrix by matrix: a large batch is shared out, the matrices of a small one are shared out in
  // themselves.
  static constexpr std::int64_t kSharedBatch = 16;
  static void multiply(const Execution& run, const gemm::Shape& s, const Tensor& a, const Tensor& b, const Tensor& c,
                       const GemmEpilogue& epilogue = {}) {
    const float *a_all = a.data<float>().data(), *b_all = b.data<float>().data();
    float* c_all = c.data<float>().data();
    const auto one = [&](std::int64_t matrix, int = 0) {
      GemmEpilogue here = epilogue;
      if (here.residual != nullptr) here.residual += matrix * s.m * s.n;
      gemm::multiply(run, s, a_all + matrix * s.m * s.k, b_all + matrix * s.k * s.n, c_all + matrix * s.m * s.n, here);
    };
    if (batch(c.shape()) >= kSharedBatch) return run.pool.run(batch(c.shape()), one);
    for (std::int64_t matrix = 0; matrix < batch(c.shape()); ++matrix) one(matrix);
  }
  static void forward(const Execution& run, const Attrs& attrs, const Tensor& a, const Tensor& b, const Tensor& y,
                      const GemmEpilogue& epilogue) {
    multiply(run, sizes(attrs, a.shape(), b.shape()), a, b, y, epilogue);
  }
  // da = dy op(b)^T, or where a lies transposed, da^T = op(b) dy^T.
  static void input_gradient(const Execution& run, const Attrs& attrs, const Tensor& dy, const Tensor& b,
                             const Tensor& da) {
    const gemm::Shape s = sizes(attrs, da.shape(), b.shape());
    if (s.transpose_a)
      multiply(run, {.m = s.k, .n = s.m, .k = s.n, .transpose_a = s.transpose_b, .transpose_b = true}, b, dy, da);
    else
      multiply(run, {.m = s.m, .n = s.k, .k = s.n, .transpose_b = !s.transpose_b}, dy, b, da);
  }
  // db = op(a)^T dy, or where b lies transposed, db^T = dy^T op(a).
  static void weight_gradient(const Execution& run, const Attrs& attrs, const Tensor& a, const Tensor& dy,
                              const Tensor& db) {
    const gemm::Shape s = sizes(attrs, a.shape(), db.shape());
    if (s.transpose_b)
      multiply(run, {.m = s.n, .n = s.k, .k = s.m, .transpose_a = true, .transpose_b = s.transpose_a}, dy, a, db);
    else
      multiply(run, {.m = s.k, .n = s.n, .k = s.m, .transpose_a = !s.transpose_a}, a, dy, db);
  }

  static Case<Attrs> sample(std::string title, const Attrs& attrs, const gemm::Shape& s, bool bias, bool residual,
                            std::int64_t batch = -1) {
    const auto with_batch = [&](std::int64_t rows, std::int64_t columns) {
      return batch < 0 ? Shape{rows, columns} : Shape{batch, rows, columns};
    };
    const Operand absent{{}, Domain::absent};
    return {std::move(title),
            attrs,
            {{attrs.transpose_a ? with_batch(s.k, s.m) : with_batch(s.m, s.k)},
             {attrs.transpose_b ? with_batch(s.n, s.k) : with_batch(s.k, s.n)},
             bias ? Operand{{s.n}} : absent,
             residual ? Operand{with_batch(s.m, s.n)} : absent}};
  }
  static std::vector<Case<Attrs>> samples() {
    constexpr Activation relu = Activation::relu, silu = Activation::silu;
    return {sample("plain", {}, {4, 5, 6}, false, false),
            sample("a transposed", {true, false}, {4, 5, 6}, true, false),
            sample("b transposed", {false, true}, {4, 5, 6}, false, true),
            sample("both transposed", {true, true}, {4, 5, 6}, true, true),
            sample("several chunks and long sums", {false, true}, {130, 150, 401}, true, false),
            sample("one row", {}, {1, 40, 17}, true, false),
            sample("one column", {}, {9, 1, 17}, true, false),
            sample("one term", {}, {9, 5, 1}, false, false),
            sample("relu", {false, true, relu}, {8, 9, 10}, true, true),
            sample("silu", {true, false, silu}, {8, 9, 10}, true, true),
            sample("no rows", {}, {0, 5, 6}, true, false),
            sample("no columns", {}, {4, 0, 6}, true, true),
            sample("no terms", {false, false, silu}, {4, 5, 0}, true, false),
            sample("batch", {false, true}, {5, 7, 9}, true, true, 3),
            sample("batch, both transposed", {true, true, relu}, {5, 7, 9}, false, false, 2),
            sample("large batch", {true, false, silu}, {5, 7, 9}, true, true, 17),
            sample("empty batch", {}, {5, 7, 9}, true, false, 0)};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {sample("1024x1024x1024", {}, {1024, 1024, 1024}, false, false),
            sample("4096x256x256, b transposed", {false, true}, {4096, 256, 256}, true, false)};
  }
  static Case<Attrs> random_case(Random& random) {
    const Attrs attrs{pick(random, 0, 1) == 1, pick(random, 0, 1) == 1, static_cast<Activation>(pick(random, 0, 2))};
    const gemm::Shape s{pick(random, 1, 70), pick(random, 1, 70), pick(random, 1, 70)};
    return sample("random", attrs, s, pick(random, 0, 1) == 1, pick(random, 0, 1) == 1, pick(random, -1, 3));
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand absent{{}, Domain::absent};
    return {{{}, {{{4, 6}}, {{5, 7}}, absent, absent}, {"matmul", "a has 6 columns", "b has 5 rows", "[4,6] f32"}},
            {{true, true}, {{{4, 6}}, {{5, 7}}, absent, absent}, {"a has 4 columns", "b has 7 rows", "transposed"}},
            {{}, {{{4, 6}}, {{2, 6, 5}}, absent, absent}, {"two matrices or two batches"}},
            {{}, {{{6}}, {{6}}, absent, absent}, {"two matrices or two batches"}},
            {{}, {{{3, 4, 6}}, {{2, 6, 5}}, absent, absent}, {"a batch of 3 but b of 2"}},
            {{}, {{{4, 6}}, {{6, 5}}, {{4}}, absent}, {"bias must be [5] f32", "[4] f32"}},
            {{}, {{{4, 6}}, {{6, 5}}, absent, {{5, 4}}}, {"residual must be as the result [4,5] f32", "[5,4] f32"}},
            {{}, {{{4, 6}, Domain::index, 3}, {{6, 5}}, absent, absent}, {"floating", "[4,6] i32"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> matmul_rows() { return {&row_of<Bilinear<Matmul>>()}; }

namespace ops {

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs, const Tensor& bias, const Tensor& residual) {
  return dispatch(row_of<Bilinear<Matmul>>(), attrs, {a, b, bias, residual})[0];
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation) {
  const Spec &in = x.spec(), &w = weight.spec();
  if (in.shape.rank() < 1 || w.shape.rank() != 2 || in.shape.back() != w.shape[1])
    fail("linear: weight must be [M,K] for x of K features (x {}, weight {})", in.text(), w.text());
  std::int64_t rows = 1;
  for (int i = 0; i + 1 < in.shape.rank(); ++i) rows *= in.shape[i];
  Shape out = in.shape;
  out[out.rank() - 1] = w.shape[0];
  const Tensor flat = ops::reshape(x, Shape{rows, w.shape[1]});
  return ops::reshape(matmul(flat, weight, {.transpose_b = true, .activation = activation}, bias), out);
}

}  // namespace ops
}  // namespace gesso
