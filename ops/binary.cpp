#include "ops/binary.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/broadcast.h"
#include "ops/describe.h"

namespace gesso {
namespace {

// What is said of one function: its value, its slopes along a and b, what they are made of, and how the kernels write
// them: a term of the gradient is term(dy, b), times factor; terms are then summed over the dimensions along which an
// operand was stretched.
struct Add {
  static constexpr std::string_view name = "add";
  static constexpr std::string_view doc =
      "y = a + b with numpy's broadcasting; da = dy, db = dy, each summed over the dimensions along which it was "
      "stretched";
  static constexpr auto kernel = &BroadcastKernels::add;
  static constexpr Domain a_domain = Domain::normal, b_domain = Domain::normal;
  static constexpr double tolerance = 3e-7;  // one rounding; sums run in double
  static constexpr Operands saved(Operands) { return 0; }
  template <class T>
  static T value(T a, T b) {
    return a + b;
  }
  template <class T>
  static std::array<T, 2> slopes(T, T) {
    return {1, 1};
  }
};
struct Sub {
  static constexpr std::string_view name = "sub";
  static constexpr std::string_view doc =
      "y = a - b with numpy's broadcasting; da = dy, db = -dy, each summed over the dimensions along which it was "
      "stretched";
  static constexpr auto kernel = &BroadcastKernels::sub;
  static constexpr Domain a_domain = Domain::normal, b_domain = Domain::normal;
  static constexpr double tolerance = 3e-7;  // one rounding; sums run in double
  static constexpr Operands saved(Operands) { return 0; }
  template <class T>
  static T value(T a, T b) {
    return a - b;
  }
  template <class T>
  static std::array<T, 2> slopes(T, T) {
    return {1, -1};
  }
};
struct Mul {
  static constexpr std::string_view name = "mul";
  static constexpr std::string_view doc =
      "y = a b with numpy's broadcasting; da = dy b, db = dy a, each summed over the dimensions along which it was "
      "stretched";
  static constexpr auto kernel = &BroadcastKernels::mul;
  static constexpr Domain a_domain = Domain::normal, b_domain = Domain::normal;
  static constexpr double tolerance = 3e-7;  // one rounding; sums run in double
  static constexpr Operands saved(Operands wanted) {
    return (has(wanted, 0) ? operands(1) : 0) | (has(wanted, 1) ? operands(0) : 0);
  }
  template <class T>
  static T value(T a, T b) {
    return a * b;
  }
  template <class T>
  static std::array<T, 2> slopes(T a, T b) {
    return {b, a};
  }
};
struct Div {
  static constexpr std::string_view name = "div";
  static constexpr std::string_view doc =
      "y = a / b with numpy's broadcasting; da = dy / b, db = -dy a / b^2, each summed over the dimensions along "
      "which it was stretched";
  static constexpr auto kernel = &BroadcastKernels::div;
  static constexpr Domain a_domain = Domain::normal, b_domain = Domain::nonzero;
  static constexpr double tolerance = 1e-5;  // terms of db reach 100 (b is at least 0.1), and may cancel
  static constexpr Operands saved(Operands wanted) { return operands(1) | (has(wanted, 1) ? operands(0) : 0); }
  template <class T>
  static T value(T a, T b) {
    return a / b;
  }
  template <class T>
  static std::array<T, 2> slopes(T a, T b) {
    return {1 / b, -a / (b * b)};
  }
};

// Equal operands share the gradient, half to each: then the derivative is what central differences say, at ties too.
// Where one is NaN, neither gets any.
template <class T>
std::array<T, 2> shares(bool a_wins, bool b_wins, bool equal) {
  if (equal) return {T(0.5), T(0.5)};
  return {static_cast<T>(a_wins), static_cast<T>(b_wins)};
}
struct Maximum {
  static constexpr std::string_view name = "maximum";
  static constexpr std::string_view doc =
      "y = the larger of a and b with numpy's broadcasting, NaN where one is NaN; dy goes to the larger, half to each "
      "where they are equal, summed over the dimensions along which it was stretched";
  static constexpr auto kernel = &BroadcastKernels::maximum, share = &BroadcastKernels::share_of_larger;
  static constexpr Domain a_domain = Domain::small_integer, b_domain = Domain::small_integer;  // many ties
  static constexpr double tolerance = 3e-7;                                                    // of the sums
  static constexpr Operands saved(Operands) { return operands(0, 1); }
  template <class T>
  static T value(T a, T b) {
    return std::isnan(b) || a < b ? b : a;
  }
  template <class T>
  static std::array<T, 2> slopes(T a, T b) {
    return shares<T>(a > b, b > a, a == b);
  }
};
struct Minimum {
  static constexpr std::string_view name = "minimum";
  static constexpr std::string_view doc =
      "y = the smaller of a and b with numpy's broadcasting, NaN where one is NaN; dy goes to the smaller, half to "
      "each where they are equal, summed over the dimensions along which it was stretched";
  static constexpr auto kernel = &BroadcastKernels::minimum, share = &BroadcastKernels::share_of_smaller;
  static constexpr Domain a_domain = Domain::small_integer, b_domain = Domain::small_integer;  // many ties
  static constexpr double tolerance = 3e-7;                                                    // of the sums
  static constexpr Operands saved(Operands) { return operands(0, 1); }
  template <class T>
  static T value(T a, T b) {
    return std::isnan(b) || b < a ? b : a;
  }
  template <class T>
  static std::array<T, 2> slopes(T a, T b) {
    return shares<T>(a < b, b < a, a == b);
  }
};

Stretched operand(const Tensor& t) { return {t.data<float>().data(), t.shape()}; }

template <class F>
struct Binary {
  static constexpr std::string_view name = F::name;
  static constexpr std::string_view doc = F::doc;
  struct Attrs {};
  static constexpr Operands differentiable = operands(0, 1);
  static Operands saved_inputs(const Attrs&, Operands wanted) { return F::saved(wanted); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || !is_floating(in[1].dtype))
      fail("{}: a and b must be floating, but are {} and {}", name, in[0].text(), in[1].text());
    return {{broadcast_shape(name, in[0], in[1]), in[0].dtype}};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return static_cast<double>(infer(attrs, in)[0].shape.count());
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return F::tolerance; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const Shape& shape = f.out[0].shape();
    const Steps a_steps = steps_of(f.in[0].shape(), shape), b_steps = steps_of(f.in[1].shape(), shape);
    const T *a = f.in[0].data<T>().data(), *b = f.in[1].data<T>().data();
    T* y = f.out[0].data<T>().data();
    for (std::int64_t i = 0; i < f.out[0].count(); ++i)
      y[i] = F::value(a[position(i, shape, a_steps)], b[position(i, shape, b_steps)]);
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const Shape& shape = b.dy[0].shape();
    const T* dy = b.dy[0].data<T>().data();
    for (std::size_t which : {0u, 1u}) {
      if (!b.dx[which]) continue;
      const Steps steps = steps_of(b.dx[which].shape(), shape);
      std::vector<double> sums(static_cast<std::size_t>(b.dx[which].count()));
      for (std::int64_t i = 0; i < b.dy[0].count(); ++i) {
        const T slope = F::slopes(at<T>(b.in[0], i, shape), at<T>(b.in[1], i, shape))[which];
        sums[static_cast<std::size_t>(position(i, shape, steps))] += static_cast<double>(dy[i] * slope);
      }
      std::ranges::transform(sums, b.dx[which].data<T>().begin(), [](double sum) { return static_cast<T>(sum); });
    }
  }

  static void cpu(const Attrs&, const Forward& f) {
    apply_broadcast(f.run, broadcast_kernels(f.run.isa).*F::kernel, f.out[0].shape(), operand(f.in[0]),
                    operand(f.in[1]), f.out[0].data<float>().data());
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    for (std::size_t which : {0u, 1u})
      if (b.dx[which]) gradient(b, which);
  }

  static std::vector<Case<Attrs>> samples() {
    return {on("same shape", {2, 3, 5}, {2, 3, 5}),
            on("bias", {2, 3, 5, 4}, {4}),
            on("bias on the left", {4}, {2, 3, 4}),
            on("both stretched", {3, 1, 5, 1}, {1, 4, 1, 7}),
            on("stretched at both ends", {2, 3, 4, 5}, {3, 4, 1}),
            on("one a sample", {3, 4, 5, 2}, {3, 1, 1, 2}),
            on("scalar", {}, {3, 5}),
            on("two scalars", {}, {1}),
            on("empty", {0, 4}, {4}),
            on("empty, summed", {3, 1}, {3, 0}),
            on("several chunks", {3, 17001}, {3, 17001}),
            on("several chunks of rows", {901, 50}, {50}),
            on("several chunks, one a row", {2, 20003}, {2, 1})};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    const Shape image = {16, 32, 32, 64};
    return {on("16x32x32x64", image, image), on("16x32x32x64 by 64", image, {64})};
  }
  static Case<Attrs> random_case(Random& random) {
    Shape a, b;
    for (int rank = static_cast<int>(pick(random, 1, 4)), i = 0; i < rank; ++i) {
      const std::int64_t size = pick(random, 1, 9), kind = pick(random, 0, 4);
      a.push_back(kind == 0 ? 1 : size);
      if (b.rank() > 0 || pick(random, 0, 3) > 0) b.push_back(kind == 1 ? 1 : size);  // some lack outer dimensions
    }
    return on("random", a, b);
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3, 4}}, {{3}}}, {std::string(name), "[3,4] f32", "[3] f32", "4 meets 3"}},
            {{}, {{{3}}, {{3}, Domain::index, 5}}, {std::string(name), "floating", "[3] i32"}}};
  }

 private:
  static Case<Attrs> on(std::string name_of_case, const Shape& a, const Shape& b) {
    return {std::move(name_of_case), {}, {{a, F::a_domain}, {b, F::b_domain}}};
  }

  // 0 where that operand was not kept: then the slope does not depend on it.
  template <class T>
  static T at(const Tensor& t, std::int64_t i, const Shape& shape) {
    return t ? t.data<T>()[static_cast<std::size_t>(position(i, shape, steps_of(t.shape(), shape)))] : T{0};
  }

  static void gradient(const Backward& b, std::size_t which) {
    const Tensor &dy = b.dy[0], &dx = b.dx[which];
    const Axes stretched = stretched_axes(dx.shape(), dy.shape());
    constexpr bool is_sum = F::kernel == &BroadcastKernels::add || F::kernel == &BroadcastKernels::sub;
    if constexpr (is_sum) {
      const double sign = F::kernel == &BroadcastKernels::sub && which == 1 ? -1 : 1;
      sum_axes(b.run, operand(dy), stretched, sign, dx.data<float>().data());
    } else {
      const bool direct = dx.shape() == dy.shape();
      const Tensor terms = direct ? dx : b.run.scratch(dy.spec());
      write_terms(b, which, terms);
      if (!direct) sum_axes(b.run, operand(terms), stretched, 1, dx.data<float>().data());
    }
  }
  static void write_terms(const Backward& b, std::size_t which, const Tensor& terms) {
    const BroadcastKernels& kernels = broadcast_kernels(b.run.isa);
    const Shape& shape = terms.shape();
    float* to = terms.data<float>().data();
    if constexpr (F::kernel == &BroadcastKernels::mul) {
      apply_broadcast(b.run, kernels.mul, shape, operand(b.dy[0]), operand(b.in[1 - which]), to);
    } else if constexpr (requires { F::share; }) {
      apply_broadcast(b.run, kernels.*F::share, shape, operand(b.in[which]), operand(b.in[1 - which]), to);
      apply_broadcast(b.run, kernels.mul, shape, operand(b.dy[0]), operand(terms), to);
    } else if (which == 0) {
      apply_broadcast(b.run, kernels.div, shape, operand(b.dy[0]), operand(b.in[1]), to);
    } else {
      apply_broadcast(b.run, kernels.mul, shape, operand(b.dy[0]), operand(b.in[0]), to);
      apply_broadcast(b.run, kernels.inverse_slope, shape, operand(terms), operand(b.in[1]), to);
    }
  }
};

}  // namespace

std::vector<const RowInfo*> binary_rows() {
  return {&row_of<Binary<Add>>(), &row_of<Binary<Sub>>(),     &row_of<Binary<Mul>>(),
          &row_of<Binary<Div>>(), &row_of<Binary<Maximum>>(), &row_of<Binary<Minimum>>()};
}

namespace ops {
namespace {
template <class F>
Tensor apply(const Tensor& a, const Tensor& b) {
  return dispatch(row_of<Binary<F>>(), typename Binary<F>::Attrs{}, {a, b})[0];
}
}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply<Add>(a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply<Sub>(a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply<Mul>(a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply<Div>(a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply<Maximum>(a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply<Minimum>(a, b); }
}  // namespace ops

}  // namespace gesso
