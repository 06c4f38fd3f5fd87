#include "ops/unary.h"

#include <algorithm>
#include <cmath>

#include "ops/describe.h"
#include "ops/unary_simd.h"

namespace gesso {
namespace {

const UnaryKernels& kernels(Isa isa) {
  return by_isa(isa, unary_kernels<simd::Baseline>, unary_kernels<simd::Avx2>, unary_kernels<simd::Avx512>)();
}

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 64 KiB in and out stay in L2

// What is said of one function: its value, its derivative from what backward keeps, and where it is tried.
struct Relu {
  static constexpr std::string_view name = "relu";
  static constexpr auto kernel = &UnaryKernels::relu;
  static constexpr std::string_view doc = "y = max(x, 0), NaN stays NaN; dx = dy where y > 0, else 0";
  static constexpr bool saves_output = true;
  static constexpr Domain domain = Domain::nonzero;
  static constexpr double tolerance = 0;
  template <class T>
  static T value(T x) {
    return x < 0 ? T{0} : x;
  }
  template <class T>
  static T derivative(T y) {
    return y > 0 ? T{1} : T{0};
  }
};
struct Silu {
  static constexpr std::string_view name = "silu";
  static constexpr auto kernel = &UnaryKernels::silu;
  static constexpr std::string_view doc =
      "y = x s, s = 1 / (1 + exp(-x)); dx = dy s (1 + x (1 - s)) (Elfwing, Uchibe and Doya 2017)";
  static constexpr bool saves_output = false;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T sigmoid(T x) {
    return T{1} / (T{1} + std::exp(-x));
  }
  template <class T>
  static T value(T x) {
    return x * sigmoid(x);
  }
  template <class T>
  static T derivative(T x) {
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)));
  }
};
struct Exp {
  static constexpr std::string_view name = "exp";
  static constexpr auto kernel = &UnaryKernels::exp;
  static constexpr std::string_view doc = "y = e^x; dx = dy y";
  static constexpr bool saves_output = true;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T value(T x) {
    return std::exp(x);
  }
  template <class T>
  static T derivative(T y) {
    return y;
  }
};
struct Log {
  static constexpr std::string_view name = "log";
  static constexpr auto kernel = &UnaryKernels::log;
  static constexpr std::string_view doc = "y = ln x; dx = dy / x";
  static constexpr bool saves_output = false;
  static constexpr Domain domain = Domain::positive;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T value(T x) {
    return std::log(x);
  }
  template <class T>
  static T derivative(T x) {
    return 1 / x;
  }
};
struct Square {
  static constexpr std::string_view name = "square";
  static constexpr auto kernel = &UnaryKernels::square;
  static constexpr std::string_view doc = "y = x^2; dx = 2 x dy";
  static constexpr bool saves_output = false;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T value(T x) {
    return x * x;
  }
  template <class T>
  static T derivative(T x) {
    return 2 * x;
  }
};
struct Sqrt {
  static constexpr std::string_view name = "sqrt";
  static constexpr auto kernel = &UnaryKernels::sqrt;
  static constexpr std::string_view doc = "y = x^(1/2); dx = dy / (2 y)";
  static constexpr bool saves_output = true;
  static constexpr Domain domain = Domain::positive;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T value(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static T derivative(T y) {
    return 1 / (2 * y);
  }
};

template <class F>
struct Unary {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return F::saves_output ? 0 : operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return F::saves_output ? operands(0) : 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype)) fail("{}: x must be floating, but is {}", name, in[0].text());
    return {in[0]};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return F::tolerance; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    std::ranges::transform(f.in[0].data<T>(), f.out[0].data<T>().begin(), [](T x) { return F::value(x); });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const Tensor& kept = F::saves_output ? b.out[0] : b.in[0];
    std::ranges::transform(kept.data<T>(), b.dy[0].data<T>(), b.dx[0].data<T>().begin(),
                           [](T v, T dy) { return dy * F::derivative(v); });
  }

  static void cpu(const Attrs&, const Forward& f) {
    const UnaryKernel& kernel = kernels(f.run.isa).*F::kernel;
    const float* x = f.in[0].data<float>().data();
    float* y = f.out[0].data<float>().data();
    parallel_for(f.run.pool, f.out[0].count(), kGrain,
                 [&](std::int64_t begin, std::int64_t end) { kernel.forward(end - begin, x + begin, y + begin); });
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    const UnaryKernel& kernel = kernels(b.run.isa).*F::kernel;
    const float* kept = (F::saves_output ? b.out[0] : b.in[0]).template data<float>().data();
    const float* dy = b.dy[0].data<float>().data();
    float* dx = b.dx[0].data<float>().data();
    parallel_for(b.run.pool, b.dx[0].count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      kernel.backward(end - begin, kept + begin, dy + begin, dx + begin);
    });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"vector", {}, {{{7}, F::domain}}},
            {"image", {}, {{{2, 3, 5, 4}, F::domain}}},
            {"several chunks", {}, {{{3, 17001}, F::domain}}},
            {"empty", {}, {{{0, 4}, F::domain}}},
            {"scalar", {}, {{{}, F::domain}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() { return {{"16x32x32x64", {}, {{{16, 32, 32, 64}, F::domain}}}}; }
  static Case<Attrs> random_case(Random& random) {
    return {"random", {}, {{{pick(random, 1, 9), pick(random, 1, 70)}, F::domain}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> unary_rows() {
  return {&row_of<Unary<Relu>>(), &row_of<Unary<Silu>>(),   &row_of<Unary<Exp>>(),
          &row_of<Unary<Log>>(),  &row_of<Unary<Square>>(), &row_of<Unary<Sqrt>>()};
}

namespace ops {
namespace {
template <class F>
Tensor apply(const Tensor& x) {
  return dispatch(row_of<Unary<F>>(), typename Unary<F>::Attrs{}, {x})[0];
}
}  // namespace

Tensor relu(const Tensor& x) { return apply<Relu>(x); }
Tensor silu(const Tensor& x) { return apply<Silu>(x); }
Tensor exp(const Tensor& x) { return apply<Exp>(x); }
Tensor log(const Tensor& x) { return apply<Log>(x); }
Tensor square(const Tensor& x) { return apply<Square>(x); }
Tensor sqrt(const Tensor& x) { return apply<Sqrt>(x); }
}  // namespace ops

}  // namespace gesso
