#include "ops/loss.h"

#include <algorithm>
#include <cmath>

#include "ops/chunk_sum.h"
#include "ops/describe.h"
#include "ops/index.h"
#include "ops/loss_simd.h"

namespace gesso {
namespace {

const LossKernels& kernels(Isa isa) {
  return by_isa(isa, loss_kernels<simd::Baseline>, loss_kernels<simd::Avx2>, loss_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

struct Mse {
  static constexpr std::string_view name = "mse";
  static constexpr std::string_view doc =
      "y[] = mean (x - target)^2 over all n elements; dx = dy 2 (x - target) / n, dtarget = -dx";
  struct Attrs {};
  static constexpr Operands differentiable = operands(0, 1);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0, 1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &x = in[0], &target = in[1];
    if (!is_floating(x.dtype) || !is_floating(target.dtype) || x.shape != target.shape)
      fail("mse: x and target must be floating and of one shape, but are {} and {}", x.text(), target.text());
    if (x.shape.count() == 0) fail("mse: x {} has no elements, so there is no mean", x.text());
    return {{{}, x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 3 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 3e-7; }  // the sum runs in double

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const auto x = f.in[0].data<T>(), target = f.in[1].data<T>();
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(target[i]);
      sum += difference * difference;
    }
    f.out[0].data<T>()[0] = static_cast<T>(sum / static_cast<double>(x.size()));
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const auto x = b.in[0].data<T>(), target = b.in[1].data<T>();
    const T slope = 2 * b.dy[0].data<T>()[0] / static_cast<T>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (b.dx[0]) b.dx[0].data<T>()[i] = slope * (x[i] - target[i]);
      if (b.dx[1]) b.dx[1].data<T>()[i] = slope * (target[i] - x[i]);
    }
  }

  static void cpu(const Attrs&, const Forward& f) {
    const float *x = f.in[0].data<float>().data(), *target = f.in[1].data<float>().data();
    const auto distance = kernels(f.run.isa).squared_distance;
    const std::int64_t n = f.in[0].count();
    const double sum = sum_of_chunks(f.run, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
      return distance(end - begin, x + begin, target + begin);
    });
    f.out[0].data<float>()[0] = static_cast<float>(sum / static_cast<double>(n));
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    const std::int64_t n = b.in[0].count();
    const float slope = 2 * b.dy[0].data<float>()[0] / static_cast<float>(n);
    for (std::size_t which : {0u, 1u}) {
      if (!b.dx[which]) continue;
      const float *from = b.in[which].data<float>().data(), *to = b.in[1 - which].data<float>().data();
      float* dx = b.dx[which].data<float>().data();
      parallel_for(b.run.pool, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        kernels(b.run.isa).scaled_difference(end - begin, slope, from + begin, to + begin, dx + begin);
      });
    }
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"vector", {}, {{{7}}, {{7}}}},
            {"images", {}, {{{2, 3, 5, 4}}, {{2, 3, 5, 4}}}},
            {"one element", {}, {{{1, 1}}, {{1, 1}}}},
            {"scalars", {}, {{{}}, {{}}}},
            {"several chunks", {}, {{{3, 17001}}, {{3, 17001}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const Shape shape{pick(random, 1, 9), pick(random, 1, 70)};
    return {"random", {}, {{shape}, {shape}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3, 4}}, {{4}}}, {"mse", "one shape", "[3,4] f32", "[4] f32"}},
            {{}, {{{3}}, {{3}, Domain::byte}}, {"mse", "floating", "[3] u8"}},
            {{}, {{{0, 4}}, {{0, 4}}}, {"mse", "no elements", "[0,4] f32"}}};
  }
};

struct CrossEntropy {
  static constexpr std::string_view name = "cross_entropy";
  static constexpr std::string_view doc =
      "y[] = mean over n of ln(sum_k exp(logits[n,k])) - logits[n,index[n]], logits [N,K], index [N] i32; dlogits = dy "
      "(softmax(logits) - one_hot(index)) / N";
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0, 1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &logits = in[0], &index = in[1];
    if (!is_floating(logits.dtype) || logits.shape.rank() != 2)
      fail("cross_entropy: logits must be floating and [N,K], but are {}", logits.text());
    if (index != Spec{{logits.shape[0]}, DType::i32})
      fail("cross_entropy: index must be [{}] i32, one a row of logits {}, but is {}", logits.shape[0], logits.text(),
           index.text());
    if (logits.shape.count() == 0) fail("cross_entropy: logits {} have no elements", logits.text());
    return {{{}, logits.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) {
    return 4 * static_cast<double>(in[0].shape.count());  // largest, difference, exponential, sum
  }
  // An exponential within 2 ulp, and a sum in float over the lanes of a row.
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-6; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    check_index_range(name, f.in[1], f.in[0].dim(1));
    double sum = 0;
    for (std::int64_t n = 0; n < f.in[0].dim(0); ++n)
      sum += static_cast<double>(log_sum_exp<T>(row<T>(f.in[0], n)) - row<T>(f.in[0], n)[label(f.in[1], n)]);
    f.out[0].data<T>()[0] = static_cast<T>(sum / static_cast<double>(f.in[0].dim(0)));
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const T slope = b.dy[0].data<T>()[0] / static_cast<T>(b.in[0].dim(0));
    for (std::int64_t n = 0; n < b.in[0].dim(0); ++n) {
      const auto x = row<T>(b.in[0], n), dx = row<T>(b.dx[0], n);
      const T total = log_sum_exp<T>(x);
      for (std::size_t k = 0; k < x.size(); ++k)
        dx[k] = slope * (std::exp(x[k] - total) - static_cast<T>(k == label(b.in[1], n)));
    }
  }

  static void cpu(const Attrs&, const Forward& f) {
    check_index_range(name, f.in[1], f.in[0].dim(1));
    const std::int64_t N = f.in[0].dim(0), K = f.in[0].dim(1);
    const double sum = sum_of_chunks(f.run, N, rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      double part = 0;
      for (std::int64_t n = begin; n < end; ++n)
        part += kernels(f.run.isa).cross_entropy(K, row<float>(f.in[0], n).data(),
                                                 static_cast<std::int64_t>(label(f.in[1], n)));
      return part;
    });
    f.out[0].data<float>()[0] = static_cast<float>(sum / static_cast<double>(N));
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    const std::int64_t N = b.in[0].dim(0), K = b.in[0].dim(1);
    const float slope = b.dy[0].data<float>()[0] / static_cast<float>(N);
    parallel_for(b.run.pool, N, rows_a_chunk(K), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        kernels(b.run.isa).cross_entropy_gradient(K, slope, row<float>(b.in[0], n).data(),
                                                  static_cast<std::int64_t>(label(b.in[1], n)),
                                                  row<float>(b.dx[0], n).data());
    });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"classes", {}, {{{6, 10}}, {{6}, Domain::index, 10}}},
            {"one class", {}, {{{4, 1}}, {{4}, Domain::index, 1}}},
            {"one row", {}, {{{1, 37}}, {{1}, Domain::index, 37}}},
            {"several chunks", {}, {{{333, 131}}, {{333}, Domain::index, 131}}},
            {"rows longer than a chunk", {}, {{{2, 20001}}, {{2}, Domain::index, 20001}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const std::int64_t n = pick(random, 1, 9), k = pick(random, 1, 70);
    return {"random", {}, {{{n, k}}, {{n}, Domain::index, k}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3, 4, 5}}, {{3}, Domain::index, 5}}, {"cross_entropy", "[N,K]", "[3,4,5] f32"}},
            {{}, {{{3, 4}}, {{4}, Domain::index, 4}}, {"index must be [3] i32", "[4] i32"}},
            {{}, {{{3, 4}}, {{3}}}, {"index must be [3] i32", "[3] f32"}},
            {{}, {{{3, 0}}, {{3}, Domain::index, 1}}, {"[3,0] f32", "no elements"}}};
  }

 private:
  static std::int64_t rows_a_chunk(std::int64_t K) { return std::max<std::int64_t>(1, kGrain / K); }
  template <class T>
  static std::span<T> row(const Tensor& t, std::int64_t n) {
    const auto K = static_cast<std::size_t>(t.dim(1));
    return t.data<T>().subspan(static_cast<std::size_t>(n) * K, K);
  }
  static std::size_t label(const Tensor& index, std::int64_t n) {
    return static_cast<std::size_t>(index.data<std::int32_t>()[static_cast<std::size_t>(n)]);
  }
  template <class T>
  static T log_sum_exp(std::span<const T> x) {
    const T largest = *std::ranges::max_element(x);
    T sum = 0;
    for (T value : x) sum += std::exp(value - largest);
    return largest + std::log(sum);
  }
};

}  // namespace

std::vector<const RowInfo*> loss_rows() { return {&row_of<Mse>(), &row_of<CrossEntropy>()}; }

namespace ops {
Tensor mse(const Tensor& x, const Tensor& target) { return dispatch(row_of<Mse>(), Mse::Attrs{}, {x, target})[0]; }
Tensor cross_entropy(const Tensor& logits, const Tensor& index) {
  return dispatch(row_of<CrossEntropy>(), CrossEntropy::Attrs{}, {logits, index})[0];
}
}  // namespace ops

}  // namespace gesso
