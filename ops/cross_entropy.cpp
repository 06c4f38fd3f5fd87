#include "ops/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "ops/chunk_sum.h"
#include "ops/cross_entropy_simd.h"
#include "ops/describe.h"
#include "ops/index.h"
#include "ops/log_sum.h"

namespace gesso {
namespace {

const CrossEntropyKernels& kernels(Isa isa) {
  return by_isa(isa, cross_entropy_kernels<simd::Baseline>, cross_entropy_kernels<simd::Avx2>,
                cross_entropy_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

struct CrossEntropy {
  static constexpr std::string_view name = "cross_entropy";
  static constexpr std::string_view doc =
      "y[] = mean over the N rows of -sum_k q_k ln softmax(logits)_k, q = (1 - s) one_hot(index) + s / K, logits "
      "[...,K], index [...] i32, s = label_smoothing; dlogits = dy (softmax(logits) - q) / N (Szegedy et al. 2016, "
      "section 7)";
  using Attrs = ops::CrossEntropyAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0, 1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec &logits = in[0], &index = in[1];
    if (!is_floating(logits.dtype) || logits.shape.rank() == 0)
      fail("cross_entropy: logits must be floating and [...,K], but are {}", logits.text());
    const Spec one_a_row{without_last(logits.shape), DType::i32};
    if (index != one_a_row)
      fail("cross_entropy: index must be {}, one a row of logits {}, but is {}", one_a_row.text(), logits.text(),
           index.text());
    if (logits.shape.count() == 0) fail("cross_entropy: logits {} have no elements", logits.text());
    if (!(attrs.label_smoothing >= 0 && attrs.label_smoothing <= 1))
      fail("cross_entropy: label_smoothing must lie in [0, 1], but is {}", attrs.label_smoothing);
    return {{{}, logits.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return 5 * static_cast<double>(in[0].shape.count());  // largest, difference, exponential, two sums
  }
  // An exponential within 2 ulp, and sums in float over the lanes of a row.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-6; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    check_index_range(name, f.in[1], f.in[0].dim(-1));
    double sum = 0;
    for (std::int64_t n = 0; n < f.in[1].count(); ++n) {
      const auto x = row<T>(f.in[0], n);
      const T largest = *std::ranges::max_element(x);
      sum += static_cast<double>(log_of_sum<T>(x, largest));
      for (std::size_t k = 0; k < x.size(); ++k)
        if (const T q = target<T>(attrs, f.in[1], n, k, x.size()); q != 0)  // of a class ruled out x is -infinity
          sum += static_cast<double>(q * (largest - x[k]));
    }
    f.out[0].data<T>()[0] = static_cast<T>(sum / static_cast<double>(f.in[1].count()));
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const T slope = b.dy[0].data<T>()[0] / static_cast<T>(b.in[1].count());
    for (std::int64_t n = 0; n < b.in[1].count(); ++n) {
      const auto x = row<T>(b.in[0], n), dx = row<T>(b.dx[0], n);
      const T largest = *std::ranges::max_element(x), log_sum = log_of_sum<T>(x, largest);
      for (std::size_t k = 0; k < x.size(); ++k)
        dx[k] = slope * (std::exp(x[k] - largest - log_sum) - target<T>(attrs, b.in[1], n, k, x.size()));
    }
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const std::int64_t N = f.in[1].count(), K = f.in[0].dim(-1);
    if (f.run.computes()) check_index_range(name, f.in[1], K);
    const double sum = sum_of_chunks(f.run, N, rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      double part = 0;
      for (std::int64_t n = begin; n < end; ++n)
        part += kernels(f.run.isa).loss(K, row<float>(f.in[0], n).data(), smoothed(attrs, f.in[1], n, K));
      return part;
    });
    if (f.run.computes()) f.out[0].data<float>()[0] = static_cast<float>(sum / static_cast<double>(N));
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    if (!b.run.computes()) return;
    const std::int64_t N = b.in[1].count(), K = b.in[0].dim(-1);
    const float slope = b.dy[0].data<float>()[0] / static_cast<float>(N);
    parallel_for(b.run.pool, N, rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        kernels(b.run.isa).gradient(K, slope, row<float>(b.in[0], n).data(), smoothed(attrs, b.in[1], n, K),
                                    row<float>(b.dx[0], n).data());
    });
  }

  static Case<Attrs> on(std::string name, const Shape& logits, double label_smoothing = 0) {
    return {std::move(name),
            {.label_smoothing = label_smoothing},
            {{logits}, {without_last(logits), Domain::index, logits.back()}}};
  }
  static std::vector<Case<Attrs>> samples() {
    return {on("classes", {6, 10}),
            on("smoothed", {6, 10}, 0.1),
            on("nothing but smoothing", {5, 7}, 1),
            on("tokens of images", {2, 3, 5, 37}, 0.3),
            on("a single row", {9}, 0.2),
            on("one class", {4, 1}, 0.5),
            on("one row", {1, 37}),
            on("long rows", {3, 1500}, 0.1),
            on("several chunks", {333, 131}, 0.1),
            on("rows longer than a chunk", {2, 20001}, 0.1)};
  }
  static std::vector<Case<Attrs>> benchmarks() { return {on("4096 tokens, 1024 codes", {4096, 1024}, 0.1)}; }
  static Case<Attrs> random_case(Random& random) {
    const Shape logits{pick(random, 1, 9), pick(random, 1, 70)};
    return on("random", logits, static_cast<double>(pick(random, 0, 4)) / 4);
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{}}, {{}, Domain::index, 5}}, {"cross_entropy", "[...,K]", "[] f32"}},
            {{}, {{{3, 4}, Domain::byte}, {{3}, Domain::index, 4}}, {"floating", "[3,4] u8"}},
            {{}, {{{3, 4}}, {{4}, Domain::index, 4}}, {"index must be [3] i32", "[4] i32"}},
            {{}, {{{3, 2, 4}}, {{6}, Domain::index, 4}}, {"index must be [3,2] i32", "[6] i32"}},
            {{}, {{{3, 4}}, {{3}}}, {"index must be [3] i32", "[3] f32"}},
            {{}, {{{3, 0}}, {{3}, Domain::index, 1}}, {"[3,0] f32", "no elements"}},
            {{.label_smoothing = 1.5}, {{{3, 4}}, {{3}, Domain::index, 4}}, {"label_smoothing", "[0, 1]", "1.5"}},
            {{.label_smoothing = std::nan("")}, {{{3, 4}}, {{3}, Domain::index, 4}}, {"label_smoothing", "nan"}}};
  }

 private:
  static Shape without_last(const Shape& shape) {
    return Shape(std::span(shape.begin(), static_cast<std::size_t>(shape.rank() - 1)));
  }
  static std::int64_t rows_a_chunk(std::int64_t K) { return std::max<std::int64_t>(1, kGrain / K); }
  template <class T>
  static std::span<T> row(const Tensor& t, std::int64_t n) {
    const auto K = static_cast<std::size_t>(t.dim(-1));
    return t.data<T>().subspan(static_cast<std::size_t>(n) * K, K);
  }
  static std::int64_t label(const Tensor& index, std::int64_t n) {
    return index.data<std::int32_t>()[static_cast<std::size_t>(n)];
  }
  static SmoothedLabel smoothed(const Attrs& attrs, const Tensor& index, std::int64_t n, std::int64_t K) {
    return {label(index, n), static_cast<float>(1 - attrs.label_smoothing),
            static_cast<float>(attrs.label_smoothing / static_cast<double>(K))};
  }
  // q_k of row n.
  template <class T>
  static T target(const Attrs& attrs, const Tensor& index, std::int64_t n, std::size_t k, std::size_t K) {
    const auto own = static_cast<double>(static_cast<std::int64_t>(k) == label(index, n));
    return static_cast<T>((1 - attrs.label_smoothing) * own + attrs.label_smoothing / static_cast<double>(K));
  }
};

}  // namespace

std::vector<const RowInfo*> cross_entropy_rows() { return {&row_of<CrossEntropy>()}; }

Tensor ops::cross_entropy(const Tensor& logits, const Tensor& index, const CrossEntropyAttrs& attrs) {
  return dispatch(row_of<CrossEntropy>(), attrs, {logits, index})[0];
}

}  // namespace gesso
