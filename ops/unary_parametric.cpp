// The functions of ops/unary.h that have attributes.
#include <cmath>
#include <numbers>

#include "ops/unary.h"
#include "ops/unary_row.h"

namespace gesso {
namespace {

using unary::apply;
using unary::Kept;
using unary::Unary;

template <class Attrs>
using Tried = std::vector<std::pair<std::string, Attrs>>;
// Attributes that must be refused, with words that the message must hold.
template <class Attrs>
using Refused = std::vector<std::pair<Attrs, std::vector<std::string>>>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct LeakyRelu {
  static constexpr std::string_view name = "leaky_relu";
  using Attrs = ops::LeakyReluAttrs;
  static constexpr std::string_view doc =
      "y = x where x >= 0, else slope x; dx = dy where x > 0, else slope dy (Maas, Hannun and Ng 2013)";
  static constexpr Kept kept = Kept::x;  // a negative slope loses the sign of x
  static constexpr Domain domain = Domain::nonzero;
  static constexpr double tolerance = 1e-7;  // one rounding
  static constexpr auto kernel(const Attrs&) { return &UnaryKernels::leaky_relu; }
  static UnaryParameters parameters(const Attrs& attrs) { return {attrs.slope, 0}; }
  static Tried<Attrs> tried() { return {{"", {}}, {", negative slope", {.slope = -0.3f}}}; }
  static void check(const Attrs& attrs) {
    if (!std::isfinite(attrs.slope)) fail("leaky_relu: slope must be finite, but is {}", attrs.slope);
  }
  static Refused<Attrs> rejects() { return {{{.slope = kInfinity}, {"leaky_relu", "slope", "inf"}}}; }
  template <class T>
  static T value(T x, const Attrs& attrs) {
    return x < 0 ? x * static_cast<T>(attrs.slope) : x;
  }
  template <class T>
  static T derivative(T x, const Attrs& attrs) {
    return x > 0 ? T{1} : static_cast<T>(attrs.slope);
  }
};

struct Gelu {
  static constexpr std::string_view name = "gelu";
  using Attrs = ops::GeluAttrs;
  static constexpr std::string_view doc =
      "erf: y = x P(x), P(x) = (1 + erf(x / sqrt 2)) / 2, dx = dy (P(x) + x exp(-x^2 / 2) / sqrt(2 pi)); tanh: y = x "
      "(1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), dx = dy ((1 + tanh u) / 2 + x (1 - tanh(u)^2) u' / 2) "
      "(Hendrycks and Gimpel 2016, section 2)";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::normal;
  static constexpr double tolerance = 1e-6;  // an exponential, a quotient and a polynomial, each within some ulp
  static constexpr auto kernel(const Attrs& attrs) {
    return attrs.kind == GeluKind::erf ? &UnaryKernels::gelu_erf : &UnaryKernels::gelu_tanh;
  }
  static Tried<Attrs> tried() { return {{", erf", {}}, {", tanh", {.kind = GeluKind::tanh}}}; }
  template <class T>
  static T value(T x, const Attrs& attrs) {
    if (attrs.kind == GeluKind::erf) return x * below(x);
    return x * (1 + std::tanh(argument(x))) / 2;
  }
  template <class T>
  static T derivative(T x, const Attrs& attrs) {
    constexpr T kDensity = std::numbers::inv_sqrtpi_v<T> / std::numbers::sqrt2_v<T>;
    if (attrs.kind == GeluKind::erf) return below(x) + x * std::exp(-x * x / 2) * kDensity;
    const T tanh = std::tanh(argument(x)), slope = 2 * kDensity * (1 + 3 * T(0.044715) * x * x);
    return (1 + tanh) / 2 + x * (1 - tanh * tanh) * slope / 2;
  }

 private:
  template <class T>
  static T below(T x) {
    return std::erfc(-x / std::numbers::sqrt2_v<T>) / 2;
  }
  template <class T>
  static T argument(T x) {
    return std::numbers::inv_sqrtpi_v<T> * std::numbers::sqrt2_v<T> * (x + T(0.044715) * x * x * x);
  }
};

struct Clamp {
  static constexpr std::string_view name = "clamp";
  using Attrs = ops::ClampAttrs;
  static constexpr std::string_view doc =
      "y = min(max(x, low), high), NaN stays NaN; dx = dy where low <= x <= high, borders included, else 0";
  static constexpr Kept kept = Kept::x;
  static constexpr Domain domain = Domain::small_integer;  // with bounds between whole numbers: no kink is met
  static constexpr double tolerance = 0;
  static constexpr auto kernel(const Attrs&) { return &UnaryKernels::clamp; }
  static UnaryParameters parameters(const Attrs& attrs) { return {attrs.low, attrs.high}; }
  static Tried<Attrs> tried() {
    return {{"", {.low = -1.5f, .high = 0.5f}}, {", from below", {.low = -0.5f}}, {", from above", {.high = 0.25f}}};
  }
  static void check(const Attrs& attrs) {
    if (!(attrs.low <= attrs.high))
      fail("clamp: low must not be above high, but they are {} and {}", attrs.low, attrs.high);
  }
  static Refused<Attrs> rejects() {
    return {{{.low = 2, .high = 1}, {"clamp", "2 and 1"}}, {{.low = kNan}, {"clamp", "nan and inf"}}};
  }
  template <class T>
  static T value(T x, const Attrs& attrs) {
    const T low = static_cast<T>(attrs.low), high = static_cast<T>(attrs.high);
    return x < low ? low : x > high ? high : x;
  }
  template <class T>
  static T derivative(T x, const Attrs& attrs) {
    return static_cast<T>(attrs.low) <= x && x <= static_cast<T>(attrs.high) ? T{1} : T{0};
  }
};

}  // namespace

std::vector<const RowInfo*> unary_parametric_rows() {
  return {&row_of<Unary<LeakyRelu>>(), &row_of<Unary<Gelu>>(), &row_of<Unary<Clamp>>()};
}

namespace ops {
Tensor leaky_relu(const Tensor& x, const LeakyReluAttrs& attrs) { return apply<LeakyRelu>(x, attrs); }
Tensor gelu(const Tensor& x, const GeluAttrs& attrs) { return apply<Gelu>(x, attrs); }
Tensor clamp(const Tensor& x, const ClampAttrs& attrs) { return apply<Clamp>(x, attrs); }
}  // namespace ops

}  // namespace gesso
