#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/describe.h"
#include "ops/norm_simd.h"

namespace gesso {
namespace {

const NormKernels& kernels(Isa isa) {
  return by_isa(isa, norm_kernels<simd::Baseline>, norm_kernels<simd::Avx2>, norm_kernels<simd::Avx512>)();
}

constexpr std::int64_t kBlockElements = 1 << 14;  // of x: with y, dy and dx a block stays in L2

enum Input : std::size_t { kX, kWeight, kBias, kRunningMean, kRunningVariance };
enum Output : std::size_t { kY, kMean, kVariance, kNewMean, kNewVariance };

// x [M,C], in blocks of rows.
struct Extent {
  std::int64_t M, C, rows_each, blocks;

  explicit Extent(const Shape& x)
      : M(1), C(x.back()), rows_each(std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(C, 1))) {
    for (int i = 0; i + 1 < x.rank(); ++i) M *= x[i];
    blocks = (M + rows_each - 1) / rows_each;
  }
  NormBlock block(std::int64_t b) const { return {std::min(rows_each, M - b * rows_each), C, C}; }
  std::int64_t offset(std::int64_t b) const { return b * rows_each * C; }
  double unbiased() const { return static_cast<double>(M) / static_cast<double>(M - 1); }
};

const float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }
float* writable(const Tensor& t) { return t.data<float>().data(); }

struct BatchNorm {
  static constexpr std::string_view name = "batch_norm";
  static constexpr std::string_view doc =
      "x[...,C]: y = (x - mean) / sqrt(variance + eps) weight + bias; in training with mean[C], biased variance[C] "
      "of all positions, which are outputs, as are running_mean, running_variance = (1 - momentum) old + momentum "
      "new, the latter from the unbiased variance; else with the running values given (Ioffe and Szegedy 2015, "
      "algorithms 1 and 2)";
  using Attrs = ops::BatchNormAttrs;
  static constexpr Operands differentiable = operands(kX, kWeight, kBias);
  static Operands saved_inputs(const Attrs& attrs, Operands) {
    return operands(kX, kWeight) | (attrs.train ? 0 : operands(kRunningMean, kRunningVariance));
  }
  static Operands saved_outputs(const Attrs& attrs, Operands) { return attrs.train ? operands(kMean, kVariance) : 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[kX];
    if (!is_floating(x.dtype) || x.shape.rank() < 2)
      fail("batch_norm: x must be floating [...,C], but is {}", x.text());
    constexpr std::string_view kNames[] = {"x", "weight", "bias", "running_mean", "running_variance"};
    const Spec by_channel{{x.shape.back()}, x.dtype};
    for (std::size_t i = kWeight; i <= kRunningVariance; ++i)
      if (in[i] != by_channel)
        fail("batch_norm: {} must be {}, one a channel of x {}, but is {}", kNames[i], by_channel.text(), x.text(),
             in[i].text());
    if (!(attrs.eps > 0 && std::isfinite(attrs.eps)))
      fail("batch_norm: eps must be positive and finite, but is {}", attrs.eps);
    if (!(attrs.momentum >= 0 && attrs.momentum <= 1))
      fail("batch_norm: momentum must lie in [0, 1], but is {}", attrs.momentum);
    if (!attrs.train) return {x};
    if (Extent(x.shape).M < 2)
      fail("batch_norm: training needs at least two values a channel, but x is {}; use a larger batch", x.text());
    return {x, by_channel, by_channel, by_channel, by_channel};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return (attrs.train ? 7.0 : 3.0) * static_cast<double>(in[kX].shape.count());
  }
  // Sums of M terms grow like their root; two values that nearly agree are scaled up by 1 / sqrt(eps) at most.
  static double tolerance(const Attrs&, std::span<const Spec> in) {
    return 1e-6 * std::sqrt(10.0 + static_cast<double>(Extent(in[kX].shape).M) / 16);
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto vector = [](const Tensor& t) { return t.data<T>().data(); };
    const T *x = vector(f.in[kX]), *weight = vector(f.in[kWeight]), *bias = vector(f.in[kBias]);
    const T *old_mean = vector(f.in[kRunningMean]), *old_variance = vector(f.in[kRunningVariance]);
    const Extent e(f.in[kX].shape());
    for (std::int64_t c = 0; c < e.C; ++c) {
      T mean = old_mean[c], variance = old_variance[c];
      if (attrs.train) {
        T sum = 0, squares = 0;
        for (std::int64_t m = 0; m < e.M; ++m) sum += x[m * e.C + c];
        mean = sum / static_cast<T>(e.M);
        for (std::int64_t m = 0; m < e.M; ++m) squares += (x[m * e.C + c] - mean) * (x[m * e.C + c] - mean);
        variance = squares / static_cast<T>(e.M);
        const T momentum = attrs.momentum, unbiased = squares / static_cast<T>(e.M - 1);
        vector(f.out[kMean])[c] = mean;
        vector(f.out[kVariance])[c] = variance;
        vector(f.out[kNewMean])[c] = (1 - momentum) * old_mean[c] + momentum * mean;
        vector(f.out[kNewVariance])[c] = (1 - momentum) * old_variance[c] + momentum * unbiased;
      }
      const T scale = weight[c] / std::sqrt(variance + static_cast<T>(attrs.eps));
      for (std::int64_t m = 0; m < e.M; ++m) vector(f.out[kY])[m * e.C + c] = (x[m * e.C + c] - mean) * scale + bias[c];
    }
  }

  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const auto at = [](const Tensor& t, std::int64_t i) { return t ? t.data<T>()[static_cast<std::size_t>(i)] : T{0}; };
    const Extent e(b.in[kX].shape());
    const T M = static_cast<T>(e.M), momentum = attrs.momentum;
    for (std::int64_t c = 0; c < e.C; ++c) {
      const T mean = at(attrs.train ? b.out[kMean] : b.in[kRunningMean], c);
      const T variance = at(attrs.train ? b.out[kVariance] : b.in[kRunningVariance], c);
      const T rstd = 1 / std::sqrt(variance + static_cast<T>(attrs.eps));
      T sum = 0, sum_xhat = 0;
      for (std::int64_t m = 0; m < e.M; ++m) {
        sum += at(b.dy[kY], m * e.C + c);
        sum_xhat += at(b.dy[kY], m * e.C + c) * (at(b.in[kX], m * e.C + c) - mean) * rstd;
      }
      if (b.dx[kWeight]) b.dx[kWeight].data<T>()[static_cast<std::size_t>(c)] = sum_xhat;
      if (b.dx[kBias]) b.dx[kBias].data<T>()[static_cast<std::size_t>(c)] = sum;
      if (!b.dx[kX]) continue;
      const T scale = at(b.in[kWeight], c) * rstd;
      T from_mean = 0, from_variance = 0;  // what the batch's statistics add, the latter times x - mean
      if (attrs.train) {
        from_mean = (at(b.dy[kMean], c) + momentum * at(b.dy[kNewMean], c) - scale * sum) / M;
        const T dvariance = at(b.dy[kVariance], c) + momentum * M / (M - 1) * at(b.dy[kNewVariance], c);
        from_variance = (2 * dvariance - scale * rstd * sum_xhat) / M;
      }
      for (std::int64_t m = 0; m < e.M; ++m)
        b.dx[kX].data<T>()[static_cast<std::size_t>(m * e.C + c)] =
            scale * at(b.dy[kY], m * e.C + c) + from_mean + from_variance * (at(b.in[kX], m * e.C + c) - mean);
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const NormKernels& kernel = kernels(f.run.isa);
    const Extent e(f.in[kX].shape());
    if (attrs.train) batch_statistics(attrs, f, e);
    const float* mean = floats(attrs.train ? f.out[kMean] : f.in[kRunningMean]);
    const float* variance = floats(attrs.train ? f.out[kVariance] : f.in[kRunningVariance]);
    const Tensor scales = f.run.scratch({{e.C}, DType::f32});
    for (std::int64_t c = 0; f.run.computes() && c < e.C; ++c)
      writable(scales)[c] = floats(f.in[kWeight])[c] * rstd_of(attrs, variance[c]);
    const NormColumns columns{mean, floats(scales), floats(f.in[kBias])};
    const float* x = floats(f.in[kX]);
    float* y = writable(f.out[kY]);
    parallel_for(f.run.pool, e.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b)
        kernel.apply(e.block(b), columns, {}, x + e.offset(b), y + e.offset(b));
    });
  }
  static float rstd_of(const Attrs& attrs, double variance) {
    return static_cast<float>(1 / std::sqrt(variance + attrs.eps));
  }
  // Each block's mean and sum of squared deviations from it, read twice while in cache, then all blocks joined: the sum
  // of squares is that within the blocks and that between them (Chan, Golub and LeVeque 1979).
  static void batch_statistics(const Attrs& attrs, const Forward& f, const Extent& e) {
    const NormKernels& kernel = kernels(f.run.isa);
    const Tensor parts = f.run.scratch({{2, e.blocks, e.C}, DType::f32});
    float *means = writable(parts), *squares = means + e.blocks * e.C;
    const float* x = floats(f.in[kX]);
    parallel_for(f.run.pool, e.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const NormBlock block = e.block(b);
        kernel.sum(block, x + e.offset(b), means + b * e.C);
        for (std::int64_t c = 0; c < e.C; ++c) means[b * e.C + c] /= static_cast<float>(block.rows);
        kernel.squares(block, x + e.offset(b), means + b * e.C, squares + b * e.C);
      }
    });
    if (!f.run.computes()) return;
    const double M = static_cast<double>(e.M), momentum = attrs.momentum;
    for (std::int64_t c = 0; c < e.C; ++c) {
      double mean = 0, square = 0;
      for (std::int64_t b = 0; b < e.blocks; ++b) mean += static_cast<double>(e.block(b).rows) * means[b * e.C + c] / M;
      for (std::int64_t b = 0; b < e.blocks; ++b) {
        const double distance = means[b * e.C + c] - mean;
        square += squares[b * e.C + c] + static_cast<double>(e.block(b).rows) * distance * distance;
      }
      const double variance = square / M;
      writable(f.out[kMean])[c] = static_cast<float>(mean);
      writable(f.out[kVariance])[c] = static_cast<float>(variance);
      writable(f.out[kNewMean])[c] =
          static_cast<float>((1 - momentum) * floats(f.in[kRunningMean])[c] + momentum * mean);
      writable(f.out[kNewVariance])[c] =
          static_cast<float>((1 - momentum) * floats(f.in[kRunningVariance])[c] + momentum * variance * e.unbiased());
    }
  }

  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const NormKernels& kernel = kernels(b.run.isa);
    const Extent e(b.in[kX].shape());
    const Tensor dy_tensor = b.dy[kY] ? b.dy[kY] : Tensor::zeros(b.in[kX].spec(), b.run.device);
    const float *x = floats(b.in[kX]), *dy = floats(dy_tensor);
    const float* mean = floats(attrs.train ? b.out[kMean] : b.in[kRunningMean]);
    const Tensor parts = b.run.scratch({{2, e.blocks, e.C}, DType::f32});
    float *sums = writable(parts), *sums_x = sums + e.blocks * e.C;
    parallel_for(b.run.pool, e.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        kernel.backward_sums(e.block(i), {mean, nullptr, nullptr}, {}, x + e.offset(i), dy + e.offset(i), nullptr,
                             sums + i * e.C, sums_x + i * e.C);
    });
    const Tensor rows = b.run.scratch({{3, e.C}, DType::f32});
    float *scale = writable(rows), *slope = scale + e.C, *shift = slope + e.C;
    if (b.run.computes()) finish_sums(attrs, b, e, sums, sums_x, scale, slope, shift);
    if (!b.dx[kX]) return;
    float* dx = writable(b.dx[kX]);
    parallel_for(b.run.pool, e.blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        kernel.backward_apply(e.block(i), {mean, scale, shift}, slope, x + e.offset(i), dy + e.offset(i),
                              dx + e.offset(i));
    });
  }
  // Joins the blocks' sums of dy and dy (x - mean), in their order: dweight, dbias, and dx = scale dy + slope (x -
  // mean) + shift, where slope and shift are what the batch's statistics add.
  static void finish_sums(const Attrs& attrs, const Backward& b, const Extent& e, const float* sums,
                          const float* sums_x, float* scale, float* slope, float* shift) {
    const float* variance = floats(attrs.train ? b.out[kVariance] : b.in[kRunningVariance]);
    const auto dy_at = [&](Output output, std::int64_t c) { return b.dy[output] ? floats(b.dy[output])[c] : 0.0; };
    const double M = static_cast<double>(e.M), momentum = attrs.momentum;
    for (std::int64_t c = 0; c < e.C; ++c) {
      const double rstd = rstd_of(attrs, variance[c]), factor = floats(b.in[kWeight])[c] * rstd;
      double sum = 0, sum_xhat = 0;
      for (std::int64_t i = 0; i < e.blocks; ++i) {
        sum += sums[i * e.C + c];
        sum_xhat += sums_x[i * e.C + c] * rstd;
      }
      if (b.dx[kWeight]) writable(b.dx[kWeight])[c] = static_cast<float>(sum_xhat);
      if (b.dx[kBias]) writable(b.dx[kBias])[c] = static_cast<float>(sum);
      scale[c] = static_cast<float>(factor);
      slope[c] = shift[c] = 0;
      if (!attrs.train) continue;
      const double dmean = dy_at(kMean, c) + momentum * dy_at(kNewMean, c);
      const double dvariance = dy_at(kVariance, c) + momentum * e.unbiased() * dy_at(kNewVariance, c);
      slope[c] = static_cast<float>((2 * dvariance - factor * rstd * sum_xhat) / M);
      shift[c] = static_cast<float>((dmean - factor * sum) / M);
    }
  }

  static Case<Attrs> on(std::string name, const Attrs& attrs, const Shape& x) {
    const Shape by_channel{x.back()};
    return {std::move(name), attrs, {{x}, {by_channel}, {by_channel}, {by_channel}, {by_channel, Domain::positive}}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {on("training", {.train = true}, {2, 3, 5, 7}),
            on("evaluation", {}, {2, 3, 5, 7}),
            on("training in several blocks", {.momentum = 0.3f, .train = true}, {4, 63, 59, 19}),
            on("evaluation in several blocks", {}, {4, 63, 59, 19}),
            on("training in several slices", {.momentum = 0.3f, .train = true}, {3, 50, 36}),
            on("one channel", {.train = true}, {9, 1}),
            on("two rows", {.eps = 0.1f, .momentum = 1, .train = true}, {2, 33}),
            on("one row evaluated", {}, {1, 5}),
            on("nothing to evaluate", {}, {0, 3, 4}),
            on("no channels", {.train = true}, {4, 0})};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {on("N16 32x32x128 training", {.train = true}, {16, 32, 32, 128})};
  }
  static Case<Attrs> random_case(Random& random) {
    const Attrs attrs{.eps = 1e-3f, .momentum = 0.2f, .train = pick(random, 0, 1) == 1};
    return on("random", attrs, {pick(random, 2, 20), pick(random, 3, 30), pick(random, 1, 70)});
  }
  static std::vector<Reject<Attrs>> rejects() {
    const auto good = on("", {}, {4, 3}).in;
    auto short_weight = good, scalar_variance = good, one_row = on("", {}, {1, 3}).in;
    short_weight[kWeight].shape = {2};
    scalar_variance[kRunningVariance].shape = {};
    return {{{}, {{{3}}, {{3}}, {{3}}, {{3}}, {{3}}}, {"batch_norm", "[...,C]", "[3] f32"}},
            {{}, short_weight, {"weight must be [3] f32", "[2] f32"}},
            {{}, scalar_variance, {"running_variance must be [3] f32", "[] f32"}},
            {{.eps = -1}, good, {"eps must be positive", "-1"}},
            {{.momentum = 1.5f}, good, {"momentum", "[0, 1]", "1.5"}},
            {{.train = true}, one_row, {"at least two values a channel", "[1,3] f32"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> batch_norm_rows() { return {&row_of<BatchNorm>()}; }

namespace ops {
BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                           const Tensor& running_variance, const BatchNormAttrs& attrs) {
  Tensors out = dispatch(row_of<BatchNorm>(), attrs, {x, weight, bias, running_mean, running_variance});
  out.resize(kNewVariance + 1);  // outside training there is y alone
  return {out[kY], out[kMean], out[kVariance], out[kNewMean], out[kNewVariance]};
}
}  // namespace ops

}  // namespace gesso
