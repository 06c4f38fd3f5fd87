#include "ops/layer_norm.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ops/binary.h"
#include "ops/broadcast.h"
#include "ops/describe.h"
#include "ops/layer_norm_simd.h"
#include "ops/norm_simd.h"
#include "ops/reduce.h"
#include "ops/reshape.h"
#include "ops/unary.h"

namespace gesso {
namespace {

const LayerNormKernels& kernels(Isa isa) {
  return by_isa(isa, layer_norm_kernels<simd::Baseline>, layer_norm_kernels<simd::Avx2>,
                layer_norm_kernels<simd::Avx512>)();
}
const NormKernels& column_kernels(Isa isa) {
  return by_isa(isa, norm_kernels<simd::Baseline>, norm_kernels<simd::Avx2>, norm_kernels<simd::Avx512>)();
}

// x [R,C] in chunks of rows. Each chunk leaves its sums of dweight and dbias, so chunks are large; but of no more than
// 256 rows, which are summed one after the other.
struct Extent {
  std::int64_t R, C, rows_each, chunks;

  explicit Extent(const Shape& x) : R(1), C(x.back()) {
    constexpr std::int64_t kElements = 1 << 15, kMostRows = 256;
    for (int i = 0; i + 1 < x.rank(); ++i) R *= x[i];
    rows_each = std::clamp<std::int64_t>(kElements / C, 1, kMostRows);
    chunks = (R + rows_each - 1) / rows_each;
  }
  std::int64_t first(std::int64_t chunk) const { return chunk * rows_each; }
  std::int64_t rows(std::int64_t chunk) const { return std::min(rows_each, R - first(chunk)); }
};

float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }
// t, or where it is absent C times a number.
Tensor or_constant(const Execution& run, const Tensor& t, std::int64_t C, float value) {
  if (t) return t;
  const Tensor filled = run.scratch({{C}, DType::f32});
  if (run.computes()) std::ranges::fill(filled.data<float>(), value);
  return filled;
}

struct LayerNorm {
  static constexpr std::string_view name = "layer_norm";
  static constexpr std::string_view doc =
      "x[...,C]: y = (x - mean) rstd weight[C] + bias[C] (1 and 0 where absent), mean[...] over the last axis, "
      "rstd[...] "
      "= 1 / sqrt(variance + eps), biased variance in two passes; dx = rstd (dz - mean(dz) - xhat mean(dz xhat)) with "
      "dz = weight dy (Ba et al. 2016, eq. 3)";
  static constexpr bool centred = true;
  static constexpr std::size_t kInputs = 3, kRstd = 2;  // x, weight, bias; y, mean, rstd
};
struct RmsNorm {
  static constexpr std::string_view name = "rms_norm";
  static constexpr std::string_view doc =
      "x[...,C]: y = x rstd weight[C] (1 where absent), rstd[...] = 1 / sqrt(mean(x^2) + eps) over the last axis; dx = "
      "rstd (dz - xhat mean(dz xhat)) with dz = weight dy (Zhang and Sennrich 2019, eq. 4)";
  static constexpr bool centred = false;
  static constexpr std::size_t kInputs = 2, kRstd = 1;  // x, weight; y, rstd
};

template <class F>
struct RowNorm {
  static constexpr std::string_view name = F::name, doc = F::doc;
  using Attrs = ops::LayerNormAttrs;
  static constexpr Operands differentiable = F::centred ? operands(0, 1, 2) : operands(0, 1);
  static Operands saved_inputs(const Attrs&, Operands wanted) {
    return operands(0) | (has(wanted, 0) ? operands(1) : 0);
  }
  static Operands saved_outputs(const Attrs&, Operands) { return F::centred ? operands(1, 2) : operands(1); }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    if (!is_floating(x.dtype) || x.shape.rank() < 1 || x.shape.back() < 1)
      fail("{}: x must be floating [...,C] with at least one channel, but is {}", name, x.text());
    if (!(attrs.eps > 0 && std::isfinite(attrs.eps)))
      fail("{}: eps must be positive and finite, but is {}", name, attrs.eps);
    for (std::size_t i = 1; i < F::kInputs; ++i)
      if (in[i].dtype != DType::none && in[i] != Spec{{x.shape.back()}, x.dtype})
        fail("{}: {} must be [{}] {}, one a channel of x {}, but is {}", name, i == 1 ? "weight" : "bias",
             x.shape.back(), name_of(x.dtype), x.text(), in[i].text());
    const Spec statistics{Shape(std::span(x.shape.begin(), x.shape.end() - 1)), x.dtype};
    if (F::centred) return {x, statistics, statistics};
    return {x, statistics};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return (F::centred ? 8.0 : 5.0) * static_cast<double>(in[0].shape.count());
  }
  // As in a group norm: rounding of x to the row's scale is amplified by rstd, 316 at most where a row of one element
  // has none; sums of R terms grow like their root.
  static double tolerance(const Attrs&, std::span<const Spec> in) {
    return 1e-6 * std::sqrt(10.0 + static_cast<double>(Extent(in[0].shape).R) / 16);
  }

  template <class T>
  static T& at(const Tensor& t, std::int64_t i) {
    return t.data<T>()[static_cast<std::size_t>(i)];
  }
  template <class T>
  static T value_or(const Tensor& t, std::int64_t i, T otherwise) {
    return t ? at<T>(t, i) : otherwise;
  }
  template <class T>
  static T bias_of(std::span<const Tensor> in, std::int64_t c) {
    return F::centred ? value_or<T>(in[F::kInputs - 1], c, 0) : T{0};
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Extent e(f.in[0].shape());
    for (std::int64_t r = 0; r < e.R; ++r) {
      const T* x = f.in[0].data<T>().data() + r * e.C;
      T *y = f.out[0].data<T>().data() + r * e.C, mean = 0, squares = 0;
      if (F::centred) {
        for (std::int64_t c = 0; c < e.C; ++c) mean += x[c] / static_cast<T>(e.C);
        at<T>(f.out[1], r) = mean;
      }
      for (std::int64_t c = 0; c < e.C; ++c) squares += (x[c] - mean) * (x[c] - mean);
      const T rstd = 1 / std::sqrt(squares / static_cast<T>(e.C) + static_cast<T>(attrs.eps));
      at<T>(f.out[F::kRstd], r) = rstd;
      for (std::int64_t c = 0; c < e.C; ++c)
        y[c] = (x[c] - mean) * rstd * value_or<T>(f.in[1], c, 1) + bias_of<T>(f.in, c);
    }
  }

  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    for (std::size_t i = 1; i < F::kInputs; ++i)
      if (b.dx[i]) std::ranges::fill(b.dx[i].data<T>(), T{0});
    const Extent e(b.in[0].shape());
    for (std::int64_t r = 0; r < e.R; ++r) row_backward<T>(b, e, r);
  }
  template <class T>
  static void row_backward(const Backward& b, const Extent& e, std::int64_t r) {
    const T mean = F::centred ? value_or<T>(b.out[1], r, 0) : T{0}, rstd = value_or<T>(b.out[F::kRstd], r, 0);
    const T C = static_cast<T>(e.C);
    const auto xhat = [&](std::int64_t c) { return (value_or<T>(b.in[0], r * e.C + c, 0) - mean) * rstd; };
    const auto dy = [&](std::int64_t c) { return value_or<T>(b.dy[0], r * e.C + c, 0); };
    T sum = 0, sum_xhat = 0;  // of weight dy, and times xhat
    for (std::int64_t c = 0; c < e.C; ++c) {
      if (b.dx[1]) at<T>(b.dx[1], c) += dy(c) * xhat(c);
      if (F::centred && b.dx[F::kInputs - 1]) at<T>(b.dx[F::kInputs - 1], c) += dy(c);
      sum += value_or<T>(b.in[1], c, 1) * dy(c);
      sum_xhat += value_or<T>(b.in[1], c, 1) * dy(c) * xhat(c);
    }
    if (!b.dx[0]) return;
    const T drstd = value_or<T>(b.dy[F::kRstd], r, 0), dmean = F::centred ? value_or<T>(b.dy[1], r, 0) : T{0};
    for (std::int64_t c = 0; c < e.C; ++c) {
      T dx = rstd * (value_or<T>(b.in[1], c, 1) * dy(c) - xhat(c) * sum_xhat / C) - drstd * rstd * rstd * xhat(c) / C;
      if (F::centred) dx += (dmean - rstd * sum) / C;
      at<T>(b.dx[0], r * e.C + c) = dx;
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const Extent e(f.in[0].shape());
    const Tensor weight = or_constant(f.run, f.in[1], e.C, 1);
    const Tensor bias = or_constant(f.run, F::centred ? f.in[F::kInputs - 1] : Tensor(), e.C, 0);
    f.run.pool.run(e.chunks, [&](std::int64_t chunk, int) {
      const std::int64_t row = e.first(chunk);
      kernels(f.run.isa).forward({.rows = e.rows(chunk),
                                  .width = e.C,
                                  .eps = attrs.eps,
                                  .x = floats(f.in[0]) + row * e.C,
                                  .weight = floats(weight),
                                  .bias = floats(bias),
                                  .y = floats(f.out[0]) + row * e.C,
                                  .mean = F::centred ? floats(f.out[1]) + row : nullptr,
                                  .rstd = floats(f.out[F::kRstd]) + row});
    });
  }

  static void cpu_backward(const Attrs&, const Backward& b) {
    const Extent e(b.in[0].shape());
    const Tensor weight = or_constant(b.run, b.in[1], e.C, 1);
    const Tensor dy = b.dy[0] ? b.dy[0] : Tensor::zeros(b.in[0].spec(), b.run.device);
    const Tensor dbias = F::centred ? b.dx[F::kInputs - 1] : Tensor();
    const auto partial = [&](const Tensor& gradient) {
      return gradient ? b.run.scratch({{e.chunks, e.C}, DType::f32}) : Tensor();
    };
    const Tensor weight_sums = partial(b.dx[1]), bias_sums = partial(dbias);
    const auto from = [](const Tensor& t, std::int64_t i) { return t ? floats(t) + i : nullptr; };
    b.run.pool.run(e.chunks, [&](std::int64_t chunk, int) {
      const std::int64_t row = e.first(chunk);
      kernels(b.run.isa).backward({.rows = e.rows(chunk),
                                   .width = e.C,
                                   .x = from(b.in[0], row * e.C),
                                   .dy = from(dy, row * e.C),
                                   .weight = floats(weight),
                                   .mean = F::centred ? from(b.out[1], row) : nullptr,
                                   .rstd = from(b.out[F::kRstd], row),
                                   .dmean = F::centred ? from(b.dy[1], row) : nullptr,
                                   .drstd = from(b.dy[F::kRstd], row),
                                   .dx = from(b.dx[0], row * e.C),
                                   .dweight = from(weight_sums, chunk * e.C),
                                   .dbias = from(bias_sums, chunk * e.C)});
    });
    add_chunks(b.run, e, weight_sums, b.dx[1]);
    add_chunks(b.run, e, bias_sums, dbias);
  }
  // The chunks' sums [chunks,C], in their order.
  static void add_chunks(const Execution& run, const Extent& e, const Tensor& sums, const Tensor& gradient) {
    constexpr std::int64_t kColumns = 1024;
    if (!gradient) return;
    parallel_for(run.pool, e.C, kColumns, [&](std::int64_t begin, std::int64_t end) {
      column_kernels(run.isa).sum({e.chunks, end - begin, e.C}, floats(sums) + begin, floats(gradient) + begin);
    });
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    const Tensor& x = in[0];
    const ops::ReduceAttrs rows{.axes = axes(0) << (x.shape().rank() - 1), .keep_dims = true};
    const Tensor mean = ops::mean(x, rows), centred = F::centred ? ops::sub(x, mean) : x;
    const Tensor variance = ops::mean(ops::square(centred), rows);
    const Tensor std = ops::sqrt(ops::add(variance, number(attrs.eps, x))), rstd = ops::div(number(1, x), std);
    Tensor y = ops::mul(centred, rstd);
    if (in[1]) y = ops::mul(y, in[1]);
    if (F::centred && in[F::kInputs - 1]) y = ops::add(y, in[F::kInputs - 1]);
    const Shape statistics(std::span(x.shape().begin(), x.shape().end() - 1));
    if (F::centred) return {y, ops::reshape(mean, statistics), ops::reshape(rstd, statistics)};
    return {y, ops::reshape(rstd, statistics)};
  }
  // As a tensor of the type and device of x.
  static Tensor number(double value, const Tensor& x) {
    if (x.dtype() == DType::f64) return Tensor::from_host<double>(std::array{value}, {}, x.device());
    return Tensor::from_host<float>(std::array{static_cast<float>(value)}, {}, x.device());
  }

  static Case<Attrs> on(std::string title, const Shape& x, bool weight, bool bias, float eps = 1e-5f) {
    const Operand channels{{x.back()}}, absent{{}, Domain::absent};
    Case<Attrs> c{std::move(title), {.eps = eps}, {{x}, weight ? channels : absent}};
    if (F::centred) c.in.push_back(bias ? channels : absent);
    return c;
  }
  static std::vector<Case<Attrs>> samples() {
    return {on("tokens", {2, 3, 24}, true, true),
            on("without weight and bias", {5, 33}, false, false),
            on("weight alone", {4, 17}, true, false),
            on("bias alone", {4, 19}, false, true),
            on("a vector", {70}, true, true),
            on("one channel", {3, 1}, true, true, 0.1f),
            on("no rows", {0, 7}, true, true),
            on("several chunks", {3, 23, 1003}, true, true),
            on("several chunks of few channels", {601, 3}, true, true, 0.1f),
            on("a row of several runs", {2, 9001}, true, true),
            on("a row more than a chunk", {129, 3}, true, true)};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {on("4096x1024", {4096, 1024}, true, true), on("32768x64", {32768, 64}, true, true)};
  }
  static Case<Attrs> random_case(Random& random) {
    return on("random", {pick(random, 1, 5), pick(random, 1, 9), pick(random, 1, 150)}, pick(random, 0, 1) == 1,
              pick(random, 0, 1) == 1, 1e-3f);
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand absent{{}, Domain::absent};
    const std::string who(name);
    std::vector<Reject<Attrs>> all{{{}, {{{}}, absent, absent}, {who, "[...,C]", "[] f32"}},
                                   {{}, {{{4, 0}}, {{0}}, absent}, {who, "at least one channel", "[4,0] f32"}},
                                   {{}, {{{4, 6}, Domain::byte}, absent, absent}, {who, "floating", "[4,6] u8"}},
                                   {{.eps = 0}, {{{4, 6}}, absent, absent}, {who, "eps must be positive", "is 0"}},
                                   {{}, {{{4, 6}}, {{4}}, absent}, {who, "weight must be [6] f32", "[4] f32"}}};
    if (F::centred) all.push_back({{}, {{{4, 6}}, absent, {{6, 1}}}, {who, "bias must be [6] f32", "[6,1] f32"}});
    return all;
  }
};

}  // namespace

std::vector<const RowInfo*> layer_norm_rows() { return {&row_of<RowNorm<LayerNorm>>(), &row_of<RowNorm<RmsNorm>>()}; }

namespace ops {

LayerNormResult layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const LayerNormAttrs& attrs) {
  const Tensors out = dispatch(row_of<RowNorm<LayerNorm>>(), attrs, {x, weight, bias});
  return {out[0], out[1], out[2]};
}
LayerNormResult rms_norm(const Tensor& x, const Tensor& weight, const LayerNormAttrs& attrs) {
  const Tensors out = dispatch(row_of<RowNorm<RmsNorm>>(), attrs, {x, weight});
  return {out[0], {}, out[1]};
}

}  // namespace ops
}  // namespace gesso
