// Elementwise functions of one operand, any shape. NaN stays NaN in all of them.
#pragma once

#include <limits>

#include "ops/op.h"

namespace gesso {
// erf: x times the probability that a standard normal value lies below x. tanh: its approximation by a tanh.
enum class GeluKind : std::uint8_t { erf, tanh };
}  // namespace gesso

namespace gesso::ops {

Tensor relu(const Tensor& x);  // max(x, 0)
Tensor silu(const Tensor& x);  // x sigmoid(x)
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);  // natural; of 0 -inf, of a negative NaN
Tensor square(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor neg(const Tensor& x);
Tensor abs(const Tensor& x);    // its gradient at 0 is 0
Tensor rsqrt(const Tensor& x);  // 1 / sqrt(x); of 0 inf, of a negative NaN
Tensor sin(const Tensor& x);    // radians, exact to float for any size; of an infinity NaN
Tensor cos(const Tensor& x);
Tensor sigmoid(const Tensor& x);  // 1 / (1 + exp(-x))
Tensor tanh(const Tensor& x);
Tensor softplus(const Tensor& x);  // ln(1 + exp(x)); overflows nowhere

struct LeakyReluAttrs {
  float slope = 0.01f;
};
// x where x >= 0, else slope x. Throws where the slope is not finite.
Tensor leaky_relu(const Tensor& x, const LeakyReluAttrs& attrs = {});

struct GeluAttrs {
  GeluKind kind = GeluKind::erf;
};
Tensor gelu(const Tensor& x, const GeluAttrs& attrs = {});

struct ClampAttrs {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};
// min(max(x, low), high). The gradient passes where low <= x <= high, both borders included, and is 0 elsewhere. Throws
// where low > high or a bound is NaN.
Tensor clamp(const Tensor& x, const ClampAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> unary_rows();
std::vector<const RowInfo*> unary_parametric_rows();
}  // namespace gesso
