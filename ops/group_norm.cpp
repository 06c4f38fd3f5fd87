#include "ops/group_norm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "ops/binary.h"
#include "ops/describe.h"
#include "ops/dropout_mask.h"
#include "ops/norm_simd.h"
#include "ops/reduce.h"
#include "ops/reshape.h"
#include "ops/unary.h"

namespace gesso {
namespace {

const NormKernels& kernels(Isa isa) {
  return by_isa(isa, norm_kernels<simd::Baseline>, norm_kernels<simd::Avx2>, norm_kernels<simd::Avx512>)();
}

// x [N,P,C] in G groups of `width` channels; `members` elements share one mean.
struct Extent {
  std::int64_t N, P, C, G, width, members;

  Extent(const Shape& x, std::int64_t groups) : N(x[0]), P(1), C(x.back()), G(groups), width(C / groups) {
    for (int i = 1; i + 1 < x.rank(); ++i) P *= x[i];
    members = std::max<std::int64_t>(P * width, 1);
  }
};

// A chunk of work: whole groups of one sample, of at least 64 channels together (cache lines that the prefetcher
// likes), or of 16 where there are few samples. Groups know nothing of each other, so all passes over a chunk happen
// while it lies in cache.
struct Chunks {
  std::int64_t groups_each, per_sample, count;

  explicit Chunks(const Extent& e) {
    constexpr std::int64_t kWanted = 16;
    std::int64_t channels = 64;
    while (channels > 16 && e.N * (e.C / channels) < kWanted) channels /= 2;
    groups_each = std::clamp<std::int64_t>(channels / std::max<std::int64_t>(e.width, 1), 1, e.G);
    per_sample = (e.G + groups_each - 1) / groups_each;
    count = e.N * per_sample;
  }
};
struct Chunk {
  std::int64_t n, first_group, last_group, first_channel, channels, offset;  // offset: of its first element in x

  Chunk(const Extent& e, const Chunks& chunks, std::int64_t i)
      : n(i / chunks.per_sample),
        first_group(i % chunks.per_sample * chunks.groups_each),
        last_group(std::min(e.G, first_group + chunks.groups_each)),
        first_channel(first_group * e.width),
        channels((last_group - first_group) * e.width),
        offset(n * e.P * e.C + first_channel) {}
};

// Rows of coefficients, one float a channel: row r of sample n.
struct Coefficients {
  Tensor memory;  // [rows,N,C]
  float* data;
  std::int64_t N, C;

  Coefficients(const Execution& run, const Extent& e, std::int64_t rows)
      : memory(run.scratch({{rows, e.N, e.C}, DType::f32})), data(memory.data<float>().data()), N(e.N), C(e.C) {}
  float* row(std::int64_t r, const Chunk& chunk) const { return data + (r * N + chunk.n) * C + chunk.first_channel; }
};

const float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }

struct GroupNorm {
  static constexpr std::string_view name = "group_norm";
  static constexpr std::string_view doc =
      "x[N,...,C] in groups of C / groups channels: y = dropout(f((x - mean) rstd weight[C] + bias[C])), f = silu or "
      "identity, dropout by step[1] i64 where its rate is not 0; mean[N,G] over all positions and the group's "
      "channels, rstd[N,G] = 1 / sqrt(variance + eps), "
      "biased variance in two passes; dx = rstd (weight dz - mean(weight dz) - xhat mean(weight dz xhat)) (Wu and "
      "He 2018, eq. 2 to 5)";
  using Attrs = ops::GroupNormAttrs;
  static constexpr Operands differentiable = operands(0, 1, 2);
  static Operands saved_inputs(const Attrs& attrs, Operands wanted) {
    const bool scale = attrs.silu || has(wanted, 0);
    return operands(0) | (scale ? operands(1) : 0) | (attrs.silu ? operands(2) : 0) | (drops(attrs) ? operands(3) : 0);
  }
  static Operands saved_outputs(const Attrs&, Operands) { return operands(1, 2); }
  static bool drops(const Attrs& attrs) { return attrs.dropout.rate != 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    if (!is_floating(x.dtype) || x.shape.rank() < 2)
      fail("group_norm: x must be floating [N,...,C], but is {}", x.text());
    const std::int64_t C = x.shape.back();
    if (attrs.groups < 1 || C < 1 || C % attrs.groups != 0)
      fail("group_norm: {} groups do not divide the {} channels of x {}", attrs.groups, C, x.text());
    if (!(attrs.eps > 0 && std::isfinite(attrs.eps)))
      fail("group_norm: eps must be positive and finite, but is {}", attrs.eps);
    for (const std::size_t i : {1, 2})
      if (in[i] != Spec{{C}, x.dtype})
        fail("group_norm: {} must be [{}] {}, one a channel of x {}, but is {}", i == 1 ? "weight" : "bias", C,
             name_of(x.dtype), x.text(), in[i].text());
    if (drops(attrs)) check_dropout(name, attrs.dropout, x, in[3]);
    const Spec statistics{{x.shape[0], attrs.groups}, x.dtype};
    return {x, statistics, statistics};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return ((attrs.silu ? 12.0 : 7.0) + (drops(attrs) ? 17.0 : 0.0)) * static_cast<double>(in[0].shape.count());
  }
  // Rounding of x to the group's scale is amplified by rstd, 316 at most where a group of one element has none; sums of
  // N P terms grow like their root.
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) {
    const Extent e(in[0].shape, attrs.groups);
    return 1e-6 * std::sqrt(10.0 + static_cast<double>(e.N * e.P) / 16);
  }

  template <class T>
  static T silu_slope(T z) {
    const T s = 1 / (1 + std::exp(-z));
    return s * (1 + z * (1 - s));
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const T *x = f.in[0].data<T>().data(), *weight = f.in[1].data<T>().data(), *bias = f.in[2].data<T>().data();
    T *y = f.out[0].data<T>().data(), *means = f.out[1].data<T>().data(), *rstds = f.out[2].data<T>().data();
    const Extent e(f.in[0].shape(), attrs.groups);
    for (std::int64_t n = 0; n < e.N; ++n)
      for (std::int64_t g = 0; g < e.G; ++g) {
        const auto each = [&](auto&& visit) {  // visit(element, channel)
          for (std::int64_t p = 0; p < e.P; ++p)
            for (std::int64_t c = g * e.width; c < (g + 1) * e.width; ++c) visit((n * e.P + p) * e.C + c, c);
        };
        T sum = 0, squares = 0;
        each([&](std::int64_t i, std::int64_t) { sum += x[i]; });
        const T mean = sum / static_cast<T>(e.members);
        each([&](std::int64_t i, std::int64_t) { squares += (x[i] - mean) * (x[i] - mean); });
        const T rstd = 1 / std::sqrt(squares / static_cast<T>(e.members) + static_cast<T>(attrs.eps));
        means[n * e.G + g] = mean;
        rstds[n * e.G + g] = rstd;
        each([&](std::int64_t i, std::int64_t c) {
          const T z = (x[i] - mean) * rstd * weight[c] + bias[c];
          y[i] = attrs.silu ? z / (1 + std::exp(-z)) : z;
        });
      }
    if (drops(attrs)) drop_naively<T>(attrs.dropout, f.in[3], f.out[0], f.out[0]);
  }

  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    for (const std::size_t i : {1, 2})
      if (b.dx[i]) std::ranges::fill(b.dx[i].data<T>(), T{0});
    const Extent e(b.in[0].shape(), attrs.groups);
    Tensors dy(b.dy.begin(), b.dy.end());
    if (drops(attrs) && dy[0]) {
      dy[0] = b.run.scratch(b.dy[0].spec());
      drop_naively<T>(attrs.dropout, b.in[3], b.dy[0], dy[0]);
    }
    for (std::int64_t n = 0; n < e.N; ++n)
      for (std::int64_t g = 0; g < e.G; ++g) group_backward<T>(attrs, {b.run, b.in, b.out, dy, b.dx}, e, n, g);
  }
  template <class T>
  static void group_backward(const Attrs& attrs, const Backward& b, const Extent& e, std::int64_t n, std::int64_t g) {
    const auto at = [](const Tensor& t, std::int64_t i) { return t ? t.data<T>()[static_cast<std::size_t>(i)] : T{0}; };
    const T mean = at(b.out[1], n * e.G + g), rstd = at(b.out[2], n * e.G + g);
    const auto each = [&](auto&& visit) {  // visit(element, channel, xhat, dz)
      for (std::int64_t p = 0; p < e.P; ++p)
        for (std::int64_t c = g * e.width; c < (g + 1) * e.width; ++c) {
          const std::int64_t i = (n * e.P + p) * e.C + c;
          const T xhat = (at(b.in[0], i) - mean) * rstd;
          const T slope = attrs.silu ? silu_slope(xhat * at(b.in[1], c) + at(b.in[2], c)) : T{1};
          visit(static_cast<std::size_t>(i), static_cast<std::size_t>(c), xhat, at(b.dy[0], i) * slope);
        }
    };
    T sum = 0, sum_xhat = 0;  // of weight dz, and times xhat
    each([&](std::size_t, std::size_t c, T xhat, T dz) {
      if (b.dx[1]) b.dx[1].data<T>()[c] += dz * xhat;
      if (b.dx[2]) b.dx[2].data<T>()[c] += dz;
      if (!b.dx[0]) return;
      sum += b.in[1].data<T>()[c] * dz;
      sum_xhat += b.in[1].data<T>()[c] * dz * xhat;
    });
    if (!b.dx[0]) return;
    const T members = static_cast<T>(e.members);
    const T dmean = at(b.dy[1], n * e.G + g), drstd = at(b.dy[2], n * e.G + g);
    each([&](std::size_t i, std::size_t c, T xhat, T dz) {
      b.dx[0].data<T>()[i] = rstd * (b.in[1].data<T>()[c] * dz - sum / members - xhat * sum_xhat / members) +
                             (dmean - drstd * rstd * rstd * xhat) / members;
    });
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const NormKernels& kernel = kernels(f.run.isa);
    const Extent e(f.in[0].shape(), attrs.groups);
    const Chunks chunks(e);
    const Coefficients rows(f.run, e, 3);
    const float *x = floats(f.in[0]), *weight = floats(f.in[1]), *bias = floats(f.in[2]);
    float *y = f.out[0].data<float>().data(), *means = f.out[1].data<float>().data();
    float* rstds = f.out[2].data<float>().data();
    const DropoutMask mask(f.run, attrs.dropout, f.in[0].shape(), f.in[3]);
    f.run.pool.run(chunks.count, [&](std::int64_t i, int) {
      const Chunk chunk(e, chunks, i);
      const NormBlock block{e.P, chunk.channels, e.C};
      float *mean = rows.row(0, chunk), *scale = rows.row(1, chunk), *sums = rows.row(2, chunk);
      kernel.sum(block, x + chunk.offset, sums);
      for_each_group(e, chunk, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
        const double sum = std::accumulate(sums + begin, sums + end, 0.0);
        means[chunk.n * e.G + g] = static_cast<float>(sum / static_cast<double>(e.members));
        std::fill(mean + begin, mean + end, means[chunk.n * e.G + g]);
      });
      kernel.squares(block, x + chunk.offset, mean, sums);
      for_each_group(e, chunk, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
        const double variance = std::accumulate(sums + begin, sums + end, 0.0) / static_cast<double>(e.members);
        const float rstd = static_cast<float>(1 / std::sqrt(variance + attrs.eps));
        rstds[chunk.n * e.G + g] = rstd;
        for (std::int64_t c = begin; c < end; ++c) scale[c] = weight[chunk.first_channel + c] * rstd;
      });
      kernel.apply(block, {mean, scale, bias + chunk.first_channel},
                   {attrs.silu, mask.of(chunk.n, chunk.first_channel)}, x + chunk.offset, y + chunk.offset);
    });
  }
  // visit(group, first channel, last channel), channels counted from the chunk's first.
  template <class F>
  static void for_each_group(const Extent& e, const Chunk& chunk, F visit) {
    for (std::int64_t g = chunk.first_group; g < chunk.last_group; ++g)
      visit(g, (g - chunk.first_group) * e.width, (g - chunk.first_group + 1) * e.width);
  }

  enum Row : std::int64_t { kSumDz, kSumDzXhat, kMean, kScale, kSlope, kShift, kRows };

  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const NormKernels& kernel = kernels(b.run.isa);
    const Extent e(b.in[0].shape(), attrs.groups);
    const Chunks chunks(e);
    const Coefficients rows(b.run, e, kRows);
    const Tensor dy_tensor = b.dy[0] ? b.dy[0] : Tensor::zeros(b.in[0].spec(), b.run.device);
    const float *x = floats(b.in[0]), *weight = floats(b.in[1]), *bias = floats(b.in[2]), *dy = floats(dy_tensor);
    float* dx = b.dx[0] ? b.dx[0].data<float>().data() : nullptr;
    const DropoutMask mask(b.run, attrs.dropout, b.in[0].shape(), b.in[3]);
    b.run.pool.run(chunks.count, [&](std::int64_t i, int) {
      const Chunk chunk(e, chunks, i);
      const NormBlock block{e.P, chunk.channels, e.C};
      float *mean = rows.row(kMean, chunk), *scale = rows.row(kScale, chunk);
      expand(b, e, chunk, weight, mean, scale);
      const float* shift = bias ? bias + chunk.first_channel : nullptr;
      float* chunk_dx = dx ? dx + chunk.offset : nullptr;
      float *sum_dz = rows.row(kSumDz, chunk), *sum_dzx = rows.row(kSumDzXhat, chunk);
      kernel.backward_sums(block, {mean, scale, shift}, {attrs.silu, mask.of(chunk.n, chunk.first_channel)},
                           x + chunk.offset, dy + chunk.offset, chunk_dx, sum_dz, sum_dzx);
      float *slope = rows.row(kSlope, chunk), *from_mean = rows.row(kShift, chunk);
      finish_sums(b, e, chunk, weight, sum_dz, sum_dzx, slope, from_mean);
      if (dx)
        kernel.backward_apply(block, {mean, scale, from_mean}, slope, x + chunk.offset,
                              attrs.silu || drops(attrs) ? chunk_dx : dy + chunk.offset, chunk_dx);
    });
    if (b.run.computes()) add_samples(b, e, rows);
  }
  // The group's mean and rstd weight, one a channel.
  static void expand(const Backward& b, const Extent& e, const Chunk& chunk, const float* weight, float* mean,
                     float* scale) {
    const float *means = floats(b.out[1]), *rstds = floats(b.out[2]);
    for_each_group(e, chunk, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
      std::fill(mean + begin, mean + end, means[chunk.n * e.G + g]);
      for (std::int64_t c = begin; c < end; ++c)
        scale[c] = weight ? weight[chunk.first_channel + c] * rstds[chunk.n * e.G + g] : 0;
    });
  }
  // From sum dz (x - mean) to sum dz xhat, and what the statistics add to dx: slope (x - mean) + shift.
  static void finish_sums(const Backward& b, const Extent& e, const Chunk& chunk, const float* weight,
                          const float* sum_dz, float* sum_dzx, float* slope, float* shift) {
    const float *rstds = floats(b.out[2]), *dmeans = floats(b.dy[1]), *drstds = floats(b.dy[2]);
    const double members = static_cast<double>(e.members);
    for_each_group(e, chunk, [&](std::int64_t g, std::int64_t begin, std::int64_t end) {
      const std::int64_t group = chunk.n * e.G + g;
      const double rstd = rstds[group], dmean = dmeans ? dmeans[group] : 0, drstd = drstds ? drstds[group] : 0;
      double sum = 0, sum_xhat = 0;
      for (std::int64_t c = begin; c < end; ++c) {
        sum_dzx[c] = static_cast<float>(sum_dzx[c] * rstd);
        if (!weight) continue;
        sum += static_cast<double>(weight[chunk.first_channel + c]) * sum_dz[c];
        sum_xhat += static_cast<double>(weight[chunk.first_channel + c]) * sum_dzx[c];
      }
      std::fill(slope + begin, slope + end, static_cast<float>(-rstd * rstd * (sum_xhat + drstd * rstd) / members));
      std::fill(shift + begin, shift + end, static_cast<float>((dmean - rstd * sum) / members));
    });
  }
  // dweight and dbias: the samples' sums, in their order.
  static void add_samples(const Backward& b, const Extent& e, const Coefficients& rows) {
    for (const auto& [gradient, row] : {std::pair{b.dx[1], kSumDzXhat}, std::pair{b.dx[2], kSumDz}}) {
      if (!gradient) continue;
      const float* sums = rows.data + row * e.N * e.C;
      float* to = gradient.template data<float>().data();
      for (std::int64_t c = 0; c < e.C; ++c) {
        double total = 0;
        for (std::int64_t n = 0; n < e.N; ++n) total += sums[n * e.C + c];
        to[c] = static_cast<float>(total);
      }
    }
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    const Tensor& x = in[0];
    const Extent e(x.shape(), attrs.groups);
    const Tensor grouped = ops::reshape(x, {e.N, e.P, e.G, e.width});
    const Tensor share = constant(1.0 / static_cast<double>(e.members), x);
    const auto mean_of = [&](const Tensor& t) {
      return ops::mul(ops::sum(t, {.axes = axes(1, 3), .keep_dims = true}), share);
    };
    const Tensor mean = mean_of(grouped), centred = ops::sub(grouped, mean);
    const Tensor std = ops::sqrt(ops::add(mean_of(ops::square(centred)), constant(attrs.eps, x)));
    const Tensor rstd = ops::div(constant(1, x), std);
    const Tensor xhat = ops::reshape(ops::mul(centred, rstd), x.shape());
    const Tensor z = ops::add(ops::mul(xhat, in[1]), in[2]);
    const Tensor y = attrs.silu ? ops::silu(z) : z;
    return {drops(attrs) ? ops::dropout(y, in[3], attrs.dropout) : y, ops::reshape(mean, {e.N, e.G}),
            ops::reshape(rstd, {e.N, e.G})};
  }
  // A number as a tensor of the type and device of x.
  static Tensor constant(double value, const Tensor& x) {
    if (x.dtype() == DType::f64) return Tensor::from_host<double>(std::array{value}, {}, x.device());
    return Tensor::from_host<float>(std::array{static_cast<float>(value)}, {}, x.device());
  }

  static Case<Attrs> on(std::string name, const Attrs& attrs, const Shape& x) {
    const Operand step = drops(attrs) ? Operand{{1}, Domain::counter, 1000} : Operand{{}, Domain::absent};
    return {std::move(name), attrs, {{x}, {{x.back()}}, {{x.back()}}, step}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {on("image", {.groups = 2}, {2, 3, 5, 8}),
            on("with silu", {.groups = 4, .eps = 1e-5f, .silu = true}, {2, 4, 4, 12}),
            on("several chunks, several runs", {.groups = 3, .silu = true}, {3, 31, 25, 111}),
            on("odd groups", {.groups = 23}, {2, 7, 69}),
            on("several slices of positions", {.groups = 5, .silu = true}, {2, 13, 11, 40}),
            on("one group of several slices", {.groups = 1}, {1, 9, 15, 35}),
            on("as layer norm", {.groups = 1, .eps = 1e-5f}, {5, 33}),
            on("one element a group", {.groups = 3, .eps = 0.1f, .silu = true}, {2, 3}),
            on("one position, one channel a group", {.groups = 4, .eps = 0.1f}, {1, 1, 1, 4}),
            on("dropout", {.groups = 2, .dropout = {.rate = 0.3, .key = 7}}, {2, 3, 5, 8}),
            on("silu and dropout", {.groups = 3, .silu = true, .dropout = {.rate = 0.5, .key = 7, .first_sample = 9}},
               {3, 7, 3, 111}),
            on("silu and dropout, several chunks", {.groups = 8, .silu = true, .dropout = {.rate = 0.1, .key = 8}},
               {2, 32, 31, 64}),
            on("no samples", {.groups = 2, .dropout = {.rate = 0.1}}, {0, 3, 4}),
            on("no positions", {.groups = 2, .silu = true}, {2, 0, 4})};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {on("N16 32x32x128 groups 32 silu", {.groups = 32, .silu = true}, {16, 32, 32, 128}),
            on("N16 32x32x128 groups 32 silu dropout", {.groups = 32, .silu = true, .dropout = {.rate = 0.1}},
               {16, 32, 32, 128})};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t groups = pick(random, 1, 6), width = pick(random, 1, 20);
    const Attrs attrs{.groups = groups,
                      .eps = 1e-3f,
                      .silu = pick(random, 0, 1) == 1,
                      .dropout = {.rate = pick(random, 0, 1) == 1 ? 0.2 : 0.0, .key = random()}};
    return on("random", attrs, {pick(random, 1, 4), pick(random, 4, 9), pick(random, 1, 9), groups * width});
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand absent{{}, Domain::absent}, step{{1}, Domain::counter, 9};
    return {
        {{.groups = 3}, {{{2, 5, 8}}, {{8}}, {{8}}, absent}, {"group_norm", "3 groups", "8 channels", "[2,5,8] f32"}},
        {{.groups = 0}, {{{2, 5, 8}}, {{8}}, {{8}}, absent}, {"0 groups"}},
        {{.groups = 1}, {{{2, 5, 0}}, {{0}}, {{0}}, absent}, {"0 channels"}},
        {{.groups = 2, .eps = 0}, {{{2, 5, 8}}, {{8}}, {{8}}, absent}, {"eps must be positive"}},
        {{.groups = 2}, {{{8}}, {{8}}, {{8}}, absent}, {"[N,...,C]", "[8] f32"}},
        {{.groups = 2}, {{{2, 5, 8}}, {{4}}, {{8}}, absent}, {"weight must be [8]", "[4] f32"}},
        {{.groups = 2}, {{{2, 5, 8}}, {{8}}, {{8, 1}}, absent}, {"bias must be [8]", "[8,1] f32"}},
        {{.groups = 2, .dropout = {.rate = 0.5}},
         {{{2, 8}}, {{8}}, {{8}}, absent},
         {"group_norm: step must be [1] i64"}},
        {{.groups = 2, .dropout = {.rate = 1}}, {{{2, 8}}, {{8}}, {{8}}, step}, {"group_norm: rate", "[0, 1)"}},
        {{.groups = 2, .dropout = {.rate = 0.1, .first_sample = -1}}, {{{2, 8}}, {{8}}, {{8}}, step}, {"from -1 on"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> group_norm_rows() { return {&row_of<GroupNorm>()}; }

namespace ops {
GroupNormResult group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormAttrs& attrs,
                           const Tensor& step) {
  const Tensors out = dispatch(row_of<GroupNorm>(), attrs, {x, weight, bias, step});
  return {out[0], out[1], out[2]};
}
}  // namespace ops

}  // namespace gesso
