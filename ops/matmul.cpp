#include "ops/matmul.h"

#include <algorithm>

#include "ops/bilinear.h"
#include "ops/reshape.h"

namespace gesso {
namespace {

struct Matmul {
  static constexpr std::string_view name = "matmul";
  static constexpr std::string_view doc =
      "y[B...,M,N] = activation(op(a) op(b) + bias + residual), op(a)[B...,M,K], op(b)[B...,K,N], bias[N], residual as "
      "y; B...: the same batch dimensions, or none; a transposed operand lies as [B...,K,M] or [B...,N,K]; da = dy "
      "op(b)^T, db = op(a)^T dy, transposed where the operand is";
  using Attrs = ops::MatmulAttrs;

  static gemm::Shape sizes(const Attrs& attrs, const Shape& a, const Shape& b) {
    const int rows = a.rank() - 2, columns = a.rank() - 1;
    return {.m = a[attrs.transpose_a ? columns : rows],
            .n = b[attrs.transpose_b ? rows : columns],
            .k = a[attrs.transpose_a ? rows : columns],
            .transpose_a = attrs.transpose_a,
            .transpose_b = attrs.transpose_b};
  }
  // Matrices, and what they are counted along.
  static Shape batch_dims(const Shape& a) { return Shape(std::span(a.begin(), a.end() - 2)); }
  static std::int64_t batch(const Shape& a) { return batch_dims(a).count(); }

  static Spec infer(const Attrs& attrs, const Spec& a, const Spec& b) {
    if (a.shape.rank() != b.shape.rank() || a.shape.rank() < 2)
      fail("matmul: a and b must be two matrices or two batches of them (a {}, b {})", a.text(), b.text());
    if (batch_dims(a.shape) != batch_dims(b.shape))
      fail("matmul: a is a batch of {} but b of {} (a {}, b {})", batch_dims(a.shape).text(),
           batch_dims(b.shape).text(), a.text(), b.text());
    const gemm::Shape s = sizes(attrs, a.shape, b.shape);
    const std::int64_t b_terms = b.shape[b.shape.rank() - (attrs.transpose_b ? 1 : 2)];
    if (s.k != b_terms)
      fail("matmul: a has {} columns but b has {} rows (a {}{}, b {}{})", s.k, b_terms, a.text(),
           attrs.transpose_a ? " transposed" : "", b.text(), attrs.transpose_b ? " transposed" : "");
    Shape y = batch_dims(a.shape);
    y.push_back(s.m);
    y.push_back(s.n);
    return {y, a.dtype};
  }
  // Sums of up to a few thousand terms of the size of one; on the baseline each is rounded twice.
  static double tolerance(const Attrs&, const Shape&, const Shape&) { return 2e-6; }
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

  // c = op(a) op(b), matrix by matrix. Threads share out the matrices where there are many or where one is too small to
  // be shared out in itself, several of the smallest at a time.
  static constexpr std::int64_t kManyMatrices = 16, kSmallProducts = 1 << 21, kProductsEach = 1 << 18;
  static void multiply(const Execution& run, const gemm::Shape& s, const Tensor& a, const Tensor& b, const Tensor& c,
                       const GemmEpilogue& epilogue = {}) {
    const float *a_all = a.data<float>().data(), *b_all = b.data<float>().data();
    float* c_all = c.data<float>().data();
    const auto some = [&](std::int64_t begin, std::int64_t end, int workers) {
      gemm::Product product(run, s, workers);
      for (std::int64_t matrix = begin; matrix < end; ++matrix) {
        GemmEpilogue here = epilogue;
        if (here.residual != nullptr) here.residual += matrix * s.m * s.n;
        product.multiply(a_all + matrix * s.m * s.k, b_all + matrix * s.k * s.n, c_all + matrix * s.m * s.n, here);
      }
    };
    const std::int64_t matrices = batch(c.shape());
    const double products = static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
    const auto each = std::max<std::int64_t>(1, static_cast<std::int64_t>(kProductsEach / std::max(products, 1.0)));
    if (matrices <= each || (matrices < kManyMatrices && products > kSmallProducts))
      return some(0, matrices, run.pool.threads());
    parallel_for(run.pool, matrices, each, [&](std::int64_t begin, std::int64_t end) { some(begin, end, 1); });
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
                            const Shape& batch = {}) {
    const auto with_batch = [&](std::int64_t rows, std::int64_t columns) {
      Shape shape = batch;
      shape.push_back(rows);
      shape.push_back(columns);
      return shape;
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
            sample("rows in fours", {}, {132, 72, 36}, true, true),
            sample("rows in fours, a transposed", {true, false, relu}, {132, 72, 36}, true, false),
            sample("rows in fours, b transposed", {false, true, silu}, {132, 72, 36}, false, true),
            sample("rows in fours, both transposed", {true, true}, {132, 72, 36}, false, false),
            sample("few results of long sums", {false, false, silu}, {9, 15, 1100}, true, true),
            sample("few results of long sums, batch", {true, true}, {4, 8, 520}, true, false, {2}),
            sample("two results of long sums", {false, true, relu}, {1, 2, 520}, true, true),
            sample("many rows", {}, {130, 4, 4}, true, false),
            sample("many columns", {}, {4, 66, 4}, true, false),
            sample("one row", {}, {1, 40, 17}, true, false),
            sample("one column", {}, {9, 1, 17}, true, false),
            sample("one term", {}, {9, 5, 1}, false, false),
            sample("relu", {false, true, relu}, {8, 9, 10}, true, true),
            sample("silu", {true, false, silu}, {8, 9, 10}, true, true),
            sample("no rows", {}, {0, 5, 6}, true, false),
            sample("no columns", {}, {4, 0, 6}, true, true),
            sample("no terms", {false, false, silu}, {4, 5, 0}, true, false),
            sample("batch", {false, true}, {5, 7, 9}, true, true, {3}),
            sample("batch, both transposed", {true, true, relu}, {5, 7, 9}, false, false, {2}),
            sample("batch in two dimensions", {true, false}, {5, 7, 9}, true, true, {2, 3}),
            sample("large batch in chunks", {true, false, silu}, {21, 17, 33}, true, true, {37}),
            sample("few matrices shared out in themselves", {false, true}, {130, 140, 121}, true, true, {2}),
            sample("batch of nothing", {false, true}, {5, 7, 0}, true, false, {3}),
            sample("empty batch", {}, {5, 7, 9}, true, false, {0})};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {sample("1024x1024x1024", {}, {1024, 1024, 1024}, false, false),
            sample("4096x256x256, b transposed", {false, true}, {4096, 256, 256}, true, false),
            sample("32 of 256x256x64, b transposed", {false, true}, {256, 256, 64}, false, false, {4, 8}),
            sample("256 of 64x64x64", {}, {64, 64, 64}, false, false, {256}),
            sample("2048 of 16x16x16", {}, {16, 16, 16}, false, false, {2048}),
            sample("8 of 256x256x256", {}, {256, 256, 256}, false, false, {8})};
  }
  static Case<Attrs> random_case(Random& random) {
    const Attrs attrs{pick(random, 0, 1) == 1, pick(random, 0, 1) == 1, static_cast<Activation>(pick(random, 0, 2))};
    const gemm::Shape s{pick(random, 1, 70), pick(random, 1, 70), pick(random, 1, 70)};
    Shape batch;
    for (std::int64_t d = pick(random, 0, 3); d > 0; --d) batch.push_back(pick(random, 1, 3));
    return sample("random", attrs, s, pick(random, 0, 1) == 1, pick(random, 0, 1) == 1, batch);
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand absent{{}, Domain::absent};
    return {{{}, {{{4, 6}}, {{5, 7}}, absent, absent}, {"matmul", "a has 6 columns", "b has 5 rows", "[4,6] f32"}},
            {{true, true}, {{{4, 6}}, {{5, 7}}, absent, absent}, {"a has 4 columns", "b has 7 rows", "transposed"}},
            {{}, {{{4, 6}}, {{2, 6, 5}}, absent, absent}, {"two matrices or two batches"}},
            {{}, {{{6}}, {{6}}, absent, absent}, {"two matrices or two batches"}},
            {{}, {{{3, 4, 6}}, {{2, 6, 5}}, absent, absent}, {"a batch of [3] but b of [2]"}},
            {{}, {{{2, 3, 4, 6}}, {{3, 2, 6, 5}}, absent, absent}, {"a batch of [2,3] but b of [3,2]"}},
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
