#include "ops/loss.h"

#include <algorithm>
#include <cmath>

#include "ops/chunk_sum.h"
#include "ops/describe.h"
#include "ops/loss_simd.h"

namespace gesso {
namespace {

const LossKernels& kernels(Isa isa) {
  return by_isa(isa, loss_kernels<simd::Baseline>, loss_kernels<simd::Avx2>, loss_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

// What is said of one loss: its value at one element of each operand, its derivatives, and where it is tried.
template <class A>
struct LossOf {
  using Attrs = A;
  static constexpr Domain first = Domain::normal, second = Domain::normal;
  static constexpr bool has_kink = false;
  static constexpr int operand_count = 2;
  // Of one element: a few roundings of a positive value. The sum runs in double.
  static constexpr double tolerance = 3e-7;
  static void check(const Attrs&) {}
  static double parameter(const Attrs&) { return 0; }  // what value and derivative are given
  static Operands needed(Operands) { return operands(0, 1); }
  static double terms(const Shape& shape) { return static_cast<double>(shape.count()); }
  static std::vector<Reject<Attrs>> rejects() { return {}; }
};
struct None {};

// F::of(d) of d = x - target, and its slope.
template <class F, class Attrs>
struct OfDifference : LossOf<Attrs> {
  template <class T>
  static T value(T x, T target, T parameter) {
    return F::of(x - target, parameter);
  }
  template <class T>
  static T derivative(std::size_t operand, T x, T target, T parameter) {
    return operand == 0 ? F::slope(x - target, parameter) : -F::slope(x - target, parameter);
  }
};

struct Mse : OfDifference<Mse, None> {
  static constexpr std::string_view name = "mse";
  static constexpr auto kernel = &LossKernels::mse;
  static constexpr std::string_view doc =
      "y[] = mean (x - target)^2 over all n elements; dx = dy 2 (x - target) / n, dtarget = -dx";
  template <class T>
  static T of(T d, T) {
    return d * d;
  }
  template <class T>
  static T slope(T d, T) {
    return 2 * d;
  }
};

struct L1 : OfDifference<L1, None> {
  static constexpr std::string_view name = "l1";
  static constexpr auto kernel = &LossKernels::l1;
  static constexpr std::string_view doc =
      "y[] = mean |x - target| over all n elements; dx = dy sign(x - target) / n, 0 where they are equal, "
      "dtarget = -dx";
  static constexpr bool has_kink = true;
  template <class T>
  static T of(T d, T) {
    return std::abs(d);
  }
  template <class T>
  static T slope(T d, T) {
    return d > 0 ? T{1} : d < 0 ? T{-1} : d;
  }
};

struct Huber : OfDifference<Huber, ops::HuberAttrs> {
  static constexpr std::string_view name = "huber";
  static constexpr auto kernel = &LossKernels::huber;
  static constexpr std::string_view doc =
      "y[] = mean over all n elements of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = x - target; "
      "dx = dy d / n with d limited to [-delta, delta], dtarget = -dx (Huber 1964)";
  static void check(const Attrs& attrs) {
    if (!(attrs.delta > 0 && std::isfinite(attrs.delta)))
      fail("huber: delta must be positive and finite, but is {}", attrs.delta);
  }
  static double parameter(const Attrs& attrs) { return attrs.delta; }
  template <class T>
  static T of(T d, T delta) {
    return std::abs(d) <= delta ? d * d / 2 : delta * (std::abs(d) - delta / 2);
  }
  template <class T>
  static T slope(T d, T delta) {
    return std::clamp(d, -delta, delta);
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.delta = 0}, {{{3}}, {{3}}}, {"huber: delta must be positive", "0"}},
            {{.delta = std::nan("")}, {{{3}}, {{3}}}, {"huber: delta", "nan"}}};
  }
};

struct BinaryCrossEntropy : LossOf<None> {
  static constexpr std::string_view name = "binary_cross_entropy_with_logits";
  static constexpr auto kernel = &LossKernels::binary_cross_entropy_with_logits;
  static constexpr std::string_view doc =
      "y[] = mean over all n elements of max(x, 0) - x target + ln(1 + e^-|x|) = -target ln s - (1 - target) ln(1 "
      "- s), x = logits, s = sigmoid(x), target in [0, 1]; dlogits = dy (s - target) / n, dtarget = -dy x / n";
  static constexpr Domain second = Domain::unit;
  static constexpr double tolerance = 1e-6;  // an exponential and a logarithm within 2 ulp each
  static Operands needed(Operands wanted) { return has(wanted, 0) ? operands(0, 1) : operands(0); }
  template <class T>
  static T value(T x, T target, T) {
    return std::max(x, T{0}) - x * target + std::log1p(std::exp(-std::abs(x)));
  }
  template <class T>
  static T derivative(std::size_t operand, T x, T target, T) {
    return operand == 0 ? 1 / (1 + std::exp(-x)) - target : -x;
  }
};

struct Hinge : LossOf<ops::HingeAttrs> {
  static constexpr std::string_view name = "hinge";
  static constexpr auto kernel = &LossKernels::hinge;
  static constexpr std::string_view doc =
      "y[] = mean max(0, 1 - s scores) over all n scores, s = 1 of real pictures, -1 of generated ones; dscores = "
      "-dy s / n where s scores < 1, else 0 (Lim and Ye 2017)";
  static constexpr bool has_kink = true;
  static constexpr int operand_count = 1;
  static double parameter(const Attrs& attrs) { return attrs.real ? 1 : -1; }
  template <class T>
  static T value(T score, T, T sign) {
    const T missing = 1 - sign * score;
    return missing < 0 ? T{0} : missing;  // NaN stays
  }
  template <class T>
  static T derivative(std::size_t, T score, T, T sign) {
    const T right = sign * score;
    return right < 1 ? -sign : right >= 1 ? T{0} : right;  // NaN stays
  }
};

struct GaussianKl : LossOf<None> {
  static constexpr std::string_view name = "gaussian_kl";
  static constexpr auto kernel = &LossKernels::gaussian_kl;
  static constexpr std::string_view doc =
      "y[] = 1/N sum (mean^2 + e^l - 1 - l) / 2 over all elements of mean, logvar [N,...], l = logvar limited to "
      "[-30, 20]: KL(N(mean, e^l) || N(0, 1)) (Kingma and Welling 2014, appendix B; limits and sum over a sample "
      "as in latent diffusion, Rombach et al. 2022); dmean = dy mean / N, dlogvar = dy (e^l - 1) / (2 N), 0 "
      "outside the limits";
  static constexpr double tolerance = 1e-6;  // an exponential within 2 ulp; e^l - 1 - l cancels near l = 0
  static Operands needed(Operands wanted) { return wanted; }
  static double terms(const Shape& shape) { return shape.rank() == 0 ? 1 : static_cast<double>(shape[0]); }
  template <class T>
  static T limited(T logvar) {
    return std::clamp(logvar, T{-30}, T{20});
  }
  template <class T>
  static T value(T mean, T logvar, T) {
    return (mean * mean + std::exp(limited(logvar)) - 1 - limited(logvar)) / 2;
  }
  template <class T>
  static T derivative(std::size_t operand, T mean, T logvar, T) {
    if (operand == 0) return mean;
    if (std::isnan(logvar)) return logvar;
    return limited(logvar) == logvar ? (std::exp(logvar) - 1) / 2 : T{0};
  }
};

// The sum of F over all elements, divided by F::terms.
template <class F>
struct Loss {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  using Attrs = typename F::Attrs;
  static constexpr Operands differentiable = F::operand_count == 1 ? operands(0) : operands(0, 1);
  static Operands saved_inputs(const Attrs&, Operands wanted) { return F::needed(wanted) & differentiable; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec &x = in[0], &target = in[in.size() - 1];
    if (!is_floating(x.dtype)) fail("{}: the first operand must be floating, but is {}", name, x.text());
    if (!is_floating(target.dtype) || x.shape != target.shape)
      fail("{}: operands must be floating and of one shape, but are {} and {}", name, x.text(), target.text());
    if (x.shape.count() == 0) fail("{}: {} has no elements, so there is no mean", name, x.text());
    F::check(attrs);
    return {{{}, x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 3 * static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return F::tolerance; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const auto a = f.in[0].data<T>(), b = second(f.in).data<T>();
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      sum += static_cast<double>(F::value(a[i], b[i], static_cast<T>(F::parameter(attrs))));
    f.out[0].data<T>()[0] = static_cast<T>(sum / F::terms(f.in[0].shape()));
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const auto first = given(b.in).data<T>(), other = second(b.in).data<T>();
    const T slope = b.dy[0].data<T>()[0] / static_cast<T>(F::terms(given(b.in).shape()));
    for (std::size_t operand = 0; operand < b.dx.size(); ++operand)
      for (std::size_t i = 0; b.dx[operand] && i < first.size(); ++i)
        b.dx[operand].data<T>()[i] =
            slope * F::derivative(operand, first[i], other[i], static_cast<T>(F::parameter(attrs)));
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const float *a = f.in[0].data<float>().data(), *b = second(f.in).data<float>().data();
    const LossKernel& kernel = kernels(f.run.isa).*F::kernel;
    const auto parameter = static_cast<float>(F::parameter(attrs));
    const double sum = sum_of_chunks(f.run, f.in[0].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      return kernel.sum(end - begin, a + begin, b + begin, parameter);
    });
    if (f.run.computes()) f.out[0].data<float>()[0] = static_cast<float>(sum / F::terms(f.in[0].shape()));
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    if (!b.run.computes()) return;
    const float *first = given(b.in).data<float>().data(), *other = second(b.in).data<float>().data();
    const LossKernel& kernel = kernels(b.run.isa).*F::kernel;
    const auto parameter = static_cast<float>(F::parameter(attrs));
    const auto slope = static_cast<float>(b.dy[0].data<float>()[0] / F::terms(given(b.in).shape()));
    for (std::size_t operand = 0; operand < b.dx.size(); ++operand) {
      if (!b.dx[operand]) continue;
      float* dx = b.dx[operand].data<float>().data();
      parallel_for(b.run.pool, b.dx[operand].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        kernel.gradient[operand](end - begin, slope, first + begin, other + begin, parameter, dx + begin);
      });
    }
  }

  // The checks' steps of 1e-6 must not cross a kink: large cases of such a loss stay in float, where none are made.
  static Case<Attrs> on(std::string name, const Shape& shape, bool large = false) {
    const DType dtype = F::has_kink && large ? DType::f32 : DType::none;
    std::vector<Operand> in{{shape, F::first, 0, dtype}, {shape, F::second, 0, dtype}};
    in.resize(F::operand_count);
    return {std::move(name), {}, std::move(in)};
  }
  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases{on("vector", {7}), on("images", {2, 3, 5, 4}), on("one element", {1, 1}),
                                   on("scalars", {}), on("several chunks", {3, 17001}, true)};
    if constexpr (std::is_same_v<Attrs, ops::HuberAttrs>)
      cases.push_back({"narrow", {.delta = 0.3}, {{{5, 13}}, {{5, 13}}}});
    if constexpr (std::is_same_v<Attrs, ops::HingeAttrs>) cases.push_back({"generated", {.real = false}, {{{5, 13}}}});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) {
    return on("random", {pick(random, 1, 9), pick(random, 1, 70)}, true);
  }
  static std::vector<Reject<Attrs>> rejects() {
    const std::string who(name);
    std::vector<Reject<Attrs>> rejects = F::rejects();
    rejects.push_back({{}, on("", {0, 4}).in, {who, "no elements", "[0,4] f32"}});
    rejects.push_back({{}, {{{3}, Domain::byte}, {{3}}}, {who, "must be floating", "[3] u8"}});
    if constexpr (F::operand_count == 1) return rejects;
    rejects.push_back({{}, {{{3, 4}}, {{4}}}, {who, "one shape", "[3,4] f32", "[4] f32"}});
    rejects.push_back({{}, {{{3}}, {{3}, Domain::byte}}, {who, "floating", "[3] u8"}});
    return rejects;
  }

 private:
  // Of what backward keeps one may be absent; it is then not read, and the other stands in its place.
  static const Tensor& given(std::span<const Tensor> in) { return in[0] ? in[0] : in[1]; }
  static const Tensor& second(std::span<const Tensor> in) { return in[in.size() - 1] ? in[in.size() - 1] : in[0]; }
};

}  // namespace

std::vector<const RowInfo*> loss_rows() {
  return {&row_of<Loss<Mse>>(),   &row_of<Loss<L1>>(),
          &row_of<Loss<Huber>>(), &row_of<Loss<BinaryCrossEntropy>>(),
          &row_of<Loss<Hinge>>(), &row_of<Loss<GaussianKl>>()};
}

namespace ops {
Tensor mse(const Tensor& x, const Tensor& target) { return dispatch(row_of<Loss<Mse>>(), None{}, {x, target})[0]; }
Tensor l1(const Tensor& x, const Tensor& target) { return dispatch(row_of<Loss<L1>>(), None{}, {x, target})[0]; }
Tensor huber(const Tensor& x, const Tensor& target, const HuberAttrs& attrs) {
  return dispatch(row_of<Loss<Huber>>(), attrs, {x, target})[0];
}
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target) {
  return dispatch(row_of<Loss<BinaryCrossEntropy>>(), None{}, {logits, target})[0];
}
Tensor hinge(const Tensor& scores, const HingeAttrs& attrs) {
  return dispatch(row_of<Loss<Hinge>>(), attrs, {scores})[0];
}
Tensor gaussian_kl(const Tensor& mean, const Tensor& logvar) {
  return dispatch(row_of<Loss<GaussianKl>>(), None{}, {mean, logvar})[0];
}
}  // namespace ops

}  // namespace gesso
