#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "ops/binary.h"
#include "ops/describe.h"
#include "ops/log_sum.h"
#include "ops/reduce.h"
#include "ops/softmax_simd.h"
#include "ops/unary.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 64 KiB in and out stay in L2

template <class T>
constexpr T kNothing = -std::numeric_limits<T>::infinity();  // the logarithm of 0

// What is subtracted from a row before its exponentials are taken: -infinity less itself would be NaN.
template <class T>
T shift_of(std::span<const T> x) {
  const T largest = *std::ranges::max_element(x);
  return largest == kNothing<T> ? T{0} : largest;
}

// What is said of each: the results of a row, and its gradients from them.
struct Softmax {
  static constexpr std::string_view name = "softmax";
  static constexpr auto kernel = &SoftmaxKernels::softmax;
  static constexpr std::string_view doc =
      "y[...,k] = exp(x[k]) / sum_j exp(x[j]) over the last axis, the row's largest subtracted first, in f32; a row of "
      "-infinities gives 0; dx[k] = y[k] (dy[k] - sum_j y[j] dy[j])";
  template <class T>
  static void reference(std::span<const T> x, std::span<T> y) {
    const T shift = shift_of(x), total = log_of_sum(x, shift);
    for (std::size_t k = 0; k < x.size(); ++k) y[k] = total == kNothing<T> ? T{0} : std::exp(x[k] - shift - total);
  }
  template <class T>
  static void reference_backward(std::span<const T> y, std::span<const T> dy, std::span<T> dx) {
    T inner = 0;
    for (std::size_t k = 0; k < y.size(); ++k) inner += y[k] * dy[k];
    for (std::size_t k = 0; k < y.size(); ++k) dx[k] = y[k] * (dy[k] - inner);
  }
  static Tensor composition(const Tensor& x, Axes last) {
    const Tensor e = ops::exp(x);
    return ops::div(e, ops::sum(e, {.axes = last, .keep_dims = true}));
  }
};
struct LogSoftmax {
  static constexpr std::string_view name = "log_softmax";
  static constexpr auto kernel = &SoftmaxKernels::log_softmax;
  static constexpr std::string_view doc =
      "y[...,k] = x[k] - ln sum_j exp(x[j]) over the last axis, the row's largest subtracted first, in f32; a row of "
      "-infinities gives -infinity; dx[k] = dy[k] - exp(y[k]) sum_j dy[j]";
  template <class T>
  static void reference(std::span<const T> x, std::span<T> y) {
    const T shift = shift_of(x), total = log_of_sum(x, shift);
    for (std::size_t k = 0; k < x.size(); ++k) y[k] = total == kNothing<T> ? total : x[k] - shift - total;
  }
  template <class T>
  static void reference_backward(std::span<const T> y, std::span<const T> dy, std::span<T> dx) {
    T sum = 0;
    for (T d : dy) sum += d;
    for (std::size_t k = 0; k < y.size(); ++k) dx[k] = dy[k] - std::exp(y[k]) * sum;
  }
  static Tensor composition(const Tensor& x, Axes last) {
    return ops::sub(x, ops::log(ops::sum(ops::exp(x), {.axes = last, .keep_dims = true})));
  }
};

template <class F>
struct OverLastAxis {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return operands(0); }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || in[0].shape.empty())
      fail("{}: x must be floating and have an axis, but is {}", name, in[0].text());
    return {in[0]};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return 4 * static_cast<double>(in[0].shape.count());  // largest, difference, exponential, sum
  }
  // An exponential within 2 ulp, and sums in float over the lanes of a row.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-6; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    for (std::int64_t n = 0; n < rows(f.out[0]); ++n) F::reference(row<const T>(f.in[0], n), row<T>(f.out[0], n));
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    for (std::int64_t n = 0; n < rows(b.dx[0]); ++n)
      F::reference_backward(row<const T>(b.out[0], n), row<const T>(b.dy[0], n), row<T>(b.dx[0], n));
  }
  static Tensors composition(const Attrs&, std::span<const Tensor> in) {
    return {F::composition(in[0], axes(in[0].shape().rank() - 1))};
  }

  static void cpu(const Attrs&, const Forward& f) {
    const auto forward = kernel(f.run.isa).forward;
    const std::int64_t K = f.out[0].dim(-1);
    const float* x = f.in[0].data<float>().data();
    float* y = f.out[0].data<float>().data();
    parallel_for(f.run.pool, rows(f.out[0]), rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) forward(K, x + n * K, y + n * K);
    });
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    const auto backward = kernel(b.run.isa).backward;
    const std::int64_t K = b.dx[0].dim(-1);
    const float *y = b.out[0].data<float>().data(), *dy = b.dy[0].data<float>().data();
    float* dx = b.dx[0].data<float>().data();
    parallel_for(b.run.pool, rows(b.dx[0]), rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) backward(K, y + n * K, dy + n * K, dx + n * K);
    });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"vector", {}, {{{7}}}},
            {"classes", {}, {{{6, 10}}}},
            {"scores", {}, {{{2, 3, 5, 37}}}},
            {"one class", {}, {{{4, 1}}}},
            {"whole numbers", {}, {{{5, 16}, Domain::small_integer}}},
            {"empty", {}, {{{0, 4}}}},
            {"no classes", {}, {{{3, 0}}}},
            {"long rows", {}, {{{3, 1500}}}},
            {"several chunks", {}, {{{333, 131}}}},
            {"rows longer than a chunk", {}, {{{3, 20001}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"4096x512", {}, {{{4096, 512}}}}, {"65536x16", {}, {{{65536, 16}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    return {"random", {}, {{{pick(random, 1, 9), pick(random, 1, 70)}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{}}}, {std::string(name), "have an axis", "[] f32"}},
            {{}, {{{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}}};
  }

 private:
  static const SoftmaxKernel& kernel(Isa isa) {
    return by_isa(isa, softmax_kernels<simd::Baseline>, softmax_kernels<simd::Avx2>, softmax_kernels<simd::Avx512>)().*
           F::kernel;
  }
  static std::int64_t rows(const Tensor& t) { return t.count() == 0 ? 0 : t.count() / t.dim(-1); }
  static std::int64_t rows_a_chunk(std::int64_t K) {
    return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, K));
  }
  template <class T>
  static std::span<T> row(const Tensor& t, std::int64_t n) {
    const auto K = static_cast<std::size_t>(t.dim(-1));
    return t.data<std::remove_const_t<T>>().subspan(static_cast<std::size_t>(n) * K, K);
  }
};

template <class F>
Tensor apply(const Tensor& x) {
  return dispatch(row_of<OverLastAxis<F>>(), typename OverLastAxis<F>::Attrs{}, {x})[0];
}

}  // namespace

std::vector<const RowInfo*> softmax_rows() {
  return {&row_of<OverLastAxis<Softmax>>(), &row_of<OverLastAxis<LogSoftmax>>()};
}

Tensor ops::softmax(const Tensor& x) { return apply<Softmax>(x); }
Tensor ops::log_softmax(const Tensor& x) { return apply<LogSoftmax>(x); }

}  // namespace gesso
