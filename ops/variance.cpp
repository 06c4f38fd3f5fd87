#include "ops/variance.h"

#include <algorithm>

#include "ops/describe.h"
#include "ops/reduce_axes.h"
#include "ops/reduce_parts.h"
#include "ops/reduce_simd.h"

namespace gesso {
namespace {

// What is known of some of the elements; sum: of (x - mean)^2.
struct Moments {
  double count, mean, sum;
};

struct Var {
  static constexpr std::string_view name = "var";
  static constexpr std::string_view doc =
      "y = sum (x - mean)^2 / (n - correction) over the axes (n elements each), in double, the mean first, pieces "
      "joined as by Chan, Golub and LeVeque 1983; over all axes a scalar []; dx = dy 2 (x - mean) / (n - "
      "correction)";
  using Attrs = ops::VarAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Shape y = reduced_shape(name, in[0], attrs.axes, attrs.keep_dims);
    const std::int64_t n = reduced_count(in[0].shape, attrs.axes);
    if (attrs.correction < 0) fail("var: correction must not be negative, but is {}", attrs.correction);
    if (n <= attrs.correction)
      fail("var: x {} has {} elements along the axes, which must be more than the correction {}", in[0].text(), n,
           attrs.correction);
    return {{y, in[0].dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 4 * static_cast<double>(in[0].shape.count()); }
  // The value is rounded once; in the gradient the mean, the difference and two products are.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 5e-7; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Shape& shape = f.in[0].shape();
    const Steps steps = steps_of(kept_shape(shape, attrs.axes), shape);
    const T* x = f.in[0].data<T>().data();
    const std::vector<double> means = means_of(attrs, f.in[0].data<T>(), shape);
    std::vector<double> sums(means.size());
    for (std::int64_t i = 0; i < shape.count(); ++i) {
      const auto result = static_cast<std::size_t>(position(i, shape, steps));
      const double difference = static_cast<double>(x[i]) - means[result];
      sums[result] += difference * difference;
    }
    std::ranges::transform(sums, f.out[0].data<T>().begin(),
                           [&](double sum) { return static_cast<T>(sum / divisor(attrs, shape)); });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const Shape& shape = b.in[0].shape();
    const Steps steps = steps_of(kept_shape(shape, attrs.axes), shape);
    const std::span<const T> x = b.in[0].data<T>(), dy = b.dy[0].data<T>();
    const std::vector<double> means = means_of(attrs, x, shape);
    for (std::int64_t i = 0; i < shape.count(); ++i) {
      const auto result = static_cast<std::size_t>(position(i, shape, steps)), at = static_cast<std::size_t>(i);
      const double slope = 2 * (static_cast<double>(x[at]) - means[result]) / divisor(attrs, shape);
      b.dx[0].data<T>()[at] = static_cast<T>(slope * static_cast<double>(dy[result]));
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const Shape& shape = f.in[0].shape();
    const double scale = 1 / divisor(attrs, shape);
    const auto sum_rows = broadcast_kernels(f.run.isa).sum_rows;
    const auto squared_deviations = kernels(f.run.isa).squared_deviations;
    const auto moments_of = [=](std::int64_t rows, std::int64_t n, std::int64_t row, const float* x, Moments* parts) {
      std::array<double, kReducePiece> means, sums;
      sum_rows(rows, n, row, x, means.data());
      for (std::int64_t i = 0; i < n; ++i) means[static_cast<std::size_t>(i)] /= static_cast<double>(rows);
      squared_deviations(rows, n, row, x, means.data(), sums.data());
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        parts[i] = {static_cast<double>(rows), means[at], sums[at]};
      }
    };
    float* y = f.out[0].data<float>().data();
    reduce_to_parts<Moments>(f.run, {f.in[0].data<float>().data(), shape}, attrs.axes, moments_of, join,
                             [=](std::int64_t i, const Moments& all) { y[i] = static_cast<float>(all.sum * scale); });
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Shape& shape = b.in[0].shape();
    const Shape kept = kept_shape(shape, attrs.axes);
    const BroadcastKernels& all = broadcast_kernels(b.run.isa);
    const Stretched x{b.in[0].data<float>().data(), shape};
    const Tensor means = b.run.scratch({kept, DType::f32}), slopes = b.run.scratch({kept, DType::f32});
    float *mean = means.data<float>().data(), *slope = slopes.data<float>().data();
    float* dx = b.dx[0].data<float>().data();
    const float factor = static_cast<float>(2 / divisor(attrs, shape));
    sum_axes(b.run, x, attrs.axes, 1 / static_cast<double>(reduced_count(shape, attrs.axes)), mean);
    apply_broadcast(b.run, all.mul, kept, {b.dy[0].data<float>().data(), kept}, {&factor, {}}, slope);
    apply_broadcast(b.run, all.sub, shape, x, {mean, kept}, dx);
    apply_broadcast(b.run, all.mul, shape, {dx, shape}, {slope, kept}, dx);
  }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases = reduction_samples<Attrs>(Domain::normal);
    for (Case<Attrs>& c : cases) c = with_correction(std::move(c), c.attrs.keep_dims ? 0 : 1);
    return cases;
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"4096x512 over 1", {.axes = axes(1)}, {{{4096, 512}}}},
            {"16x32x32x64 over 1, 2", {.axes = axes(1, 2)}, {{{16, 32, 32, 64}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return with_correction(random_reduction<Attrs>(random, Domain::normal), pick(random, 0, 2));
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.axes = axes(2)}, {{{3, 4}}}, {"var", "[3,4] f32", "no axis 2"}},
            {{}, {{{3}, Domain::index, 5}}, {"var", "floating", "[3] i32"}},
            {{.axes = axes(0)}, {{{1, 4}}}, {"var", "[1,4] f32", "1 elements", "correction 1"}},
            {{.axes = axes(0), .correction = 0}, {{{0, 4}}}, {"var", "0 elements", "correction 0"}},
            {{.axes = axes(0), .correction = -1}, {{{3}}}, {"var", "negative", "-1"}}};
  }

 private:
  static const ReduceKernels& kernels(Isa isa) {
    return by_isa(isa, reduce_kernels<simd::Baseline>, reduce_kernels<simd::Avx2>, reduce_kernels<simd::Avx512>)();
  }
  static double divisor(const Attrs& attrs, const Shape& x) {
    return static_cast<double>(reduced_count(x, attrs.axes) - attrs.correction);
  }
  // As large a correction, up to `most`, as the number of elements allows.
  static Case<Attrs> with_correction(Case<Attrs> c, std::int64_t most) {
    c.attrs.correction = std::clamp<std::int64_t>(reduced_count(c.in[0].shape, c.attrs.axes) - 1, 0, most);
    return c;
  }
  template <class T>
  static std::vector<double> means_of(const Attrs& attrs, std::span<T> x, const Shape& shape) {
    const Shape kept = kept_shape(shape, attrs.axes);
    const Steps steps = steps_of(kept, shape);
    std::vector<double> means(static_cast<std::size_t>(kept.count()));
    for (std::int64_t i = 0; i < shape.count(); ++i)
      means[static_cast<std::size_t>(position(i, shape, steps))] += static_cast<double>(x[static_cast<std::size_t>(i)]);
    for (double& mean : means) mean /= static_cast<double>(reduced_count(shape, attrs.axes));
    return means;
  }
  static void join(Moments& all, const Moments& next, std::int64_t) {
    const double count = all.count + next.count, apart = next.mean - all.mean;
    all.sum += next.sum + apart * apart * all.count * next.count / count;
    all.mean += apart * next.count / count;
    all.count = count;
  }
};

}  // namespace

std::vector<const RowInfo*> variance_rows() { return {&row_of<Var>()}; }

Tensor ops::var(const Tensor& x, const VarAttrs& attrs) { return dispatch(row_of<Var>(), attrs, {x})[0]; }

}  // namespace gesso
