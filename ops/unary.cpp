#include "ops/unary.h"

#include <algorithm>
#include <cmath>

#include "ops/unary_row.h"

namespace gesso {
namespace {

using unary::apply;
using unary::Kept;
using unary::Unary;

template <class T>
T logistic(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

// What is said of one function: its value, its derivative from what backward keeps, and where it is tried.
struct Relu {
  static constexpr std::string_view name = "relu";
  static constexpr auto kernel = &UnaryKernels::relu;
  static constexpr std::string_view doc = "y = max(x, 0), NaN stays NaN; dx = dy where y > 0, else 0";
  static constexpr Kept kept = Kept::y;
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
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 1e-6;
  template <class T>
  static T value(T x) {
    return x * logistic(x);
  }
  template <class T>
  static T derivative(T x) {
    return logistic(x) * (1 + x * (1 - logistic(x)));
  }
};
struct Exp {
  static constexpr std::string_view name = "exp";
  static constexpr auto kernel = &UnaryKernels::exp;
  static constexpr std::string_view doc = "y = e^x; dx = dy y";
  static constexpr Kept kept = Kept::y;
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
  static constexpr Kept kept = Kept::x;
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
  static constexpr Kept kept = Kept::x;
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
  static constexpr Kept kept = Kept::y;
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

struct Neg {
  static constexpr std::string_view name = "neg";
  static constexpr auto kernel = &UnaryKernels::neg;
  static constexpr std::string_view doc = "y = -x; dx = -dy";
  static constexpr Kept kept = Kept::nothing;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 0;
  template <class T>
  static T value(T x) {
    return -x;
  }
  template <class T>
  static T derivative(T) {
    return -1;
  }
};
struct Abs {
  static constexpr std::string_view name = "abs";
  static constexpr auto kernel = &UnaryKernels::abs;
  static constexpr std::string_view doc = "y = |x|; dx = dy where x > 0, -dy where x < 0, 0 at 0";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::nonzero;
  static constexpr double tolerance = 0;
  template <class T>
  static T value(T x) {
    return std::abs(x);
  }
  template <class T>
  static T derivative(T x) {
    return static_cast<T>((x > 0) - (x < 0));
  }
};
struct Rsqrt {
  static constexpr std::string_view name = "rsqrt";
  static constexpr auto kernel = &UnaryKernels::rsqrt;
  static constexpr std::string_view doc = "y = x^(-1/2); dx = -dy y^3 / 2";
  static constexpr Kept kept = Kept::y;
  static constexpr Domain domain = Domain::positive;
  static constexpr double tolerance = 1e-6;  // five roundings, the cube of a rounded y among them
  template <class T>
  static T value(T x) {
    return 1 / std::sqrt(x);
  }
  template <class T>
  static T derivative(T y) {
    return -y * y * y / 2;
  }
};
struct Sin {
  static constexpr std::string_view name = "sin";
  static constexpr auto kernel = &UnaryKernels::sin;
  static constexpr std::string_view doc = "y = sin x, x in radians of any size; dx = dy cos x";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 3e-7;  // within 3 ulp of results up to 1, tests/simd_test.cpp
  template <class T>
  static T value(T x) {
    return std::sin(x);
  }
  template <class T>
  static T derivative(T x) {
    return std::cos(x);
  }
};
struct Cos {
  static constexpr std::string_view name = "cos";
  static constexpr auto kernel = &UnaryKernels::cos;
  static constexpr std::string_view doc = "y = cos x, x in radians of any size; dx = -dy sin x";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 3e-7;  // within 3 ulp of results up to 1, tests/simd_test.cpp
  template <class T>
  static T value(T x) {
    return std::cos(x);
  }
  template <class T>
  static T derivative(T x) {
    return -std::sin(x);
  }
};
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  static constexpr auto kernel = &UnaryKernels::sigmoid;
  static constexpr std::string_view doc = "y = 1 / (1 + exp(-x)); dx = dy y (1 - y)";
  static constexpr Kept kept = Kept::y;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 5e-7;  // within 4 ulp of results below 1
  template <class T>
  static T value(T x) {
    return logistic(x);
  }
  template <class T>
  static T derivative(T y) {
    return y * (1 - y);
  }
};
struct Tanh {
  static constexpr std::string_view name = "tanh";
  static constexpr auto kernel = &UnaryKernels::tanh;
  static constexpr std::string_view doc = "y = tanh x; dx = dy (1 - y^2)";
  static constexpr Kept kept = Kept::y;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 5e-7;  // within 4 ulp of results below 1
  template <class T>
  static T value(T x) {
    return std::tanh(x);
  }
  template <class T>
  static T derivative(T y) {
    return 1 - y * y;
  }
};
struct Softplus {
  static constexpr std::string_view name = "softplus";
  static constexpr auto kernel = &UnaryKernels::softplus;
  static constexpr std::string_view doc =
      "y = ln(1 + exp(x)), as max(x, 0) + ln(1 + exp(-|x|)); dx = dy / (1 + exp(-x))";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 5e-7;  // within 4 ulp, as is its slope
  template <class T>
  static T value(T x) {
    return std::max(x, T{0}) + std::log1p(std::exp(-std::abs(x)));
  }
  template <class T>
  static T derivative(T x) {
    return logistic(x);
  }
};

}  // namespace

std::vector<const RowInfo*> unary_rows() {
  return {&row_of<Unary<Relu>>(),   &row_of<Unary<Silu>>(),    &row_of<Unary<Exp>>(), &row_of<Unary<Log>>(),
          &row_of<Unary<Square>>(), &row_of<Unary<Sqrt>>(),    &row_of<Unary<Neg>>(), &row_of<Unary<Abs>>(),
          &row_of<Unary<Rsqrt>>(),  &row_of<Unary<Sin>>(),     &row_of<Unary<Cos>>(), &row_of<Unary<Sigmoid>>(),
          &row_of<Unary<Tanh>>(),   &row_of<Unary<Softplus>>()};
}

namespace ops {
Tensor relu(const Tensor& x) { return apply<Relu>(x); }
Tensor silu(const Tensor& x) { return apply<Silu>(x); }
Tensor exp(const Tensor& x) { return apply<Exp>(x); }
Tensor log(const Tensor& x) { return apply<Log>(x); }
Tensor square(const Tensor& x) { return apply<Square>(x); }
Tensor sqrt(const Tensor& x) { return apply<Sqrt>(x); }
Tensor neg(const Tensor& x) { return apply<Neg>(x); }
Tensor abs(const Tensor& x) { return apply<Abs>(x); }
Tensor rsqrt(const Tensor& x) { return apply<Rsqrt>(x); }
Tensor sin(const Tensor& x) { return apply<Sin>(x); }
Tensor cos(const Tensor& x) { return apply<Cos>(x); }
Tensor sigmoid(const Tensor& x) { return apply<Sigmoid>(x); }
Tensor tanh(const Tensor& x) { return apply<Tanh>(x); }
Tensor softplus(const Tensor& x) { return apply<Softplus>(x); }
}  // namespace ops

}  // namespace gesso
