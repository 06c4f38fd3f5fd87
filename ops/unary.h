// Elementwise functions of one operand, any shape.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

Tensor relu(const Tensor& x);  // max(x, 0)
Tensor silu(const Tensor& x);  // x sigmoid(x)
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);  // natural; of 0 -inf, of a negative NaN
Tensor square(const Tensor& x);
Tensor sqrt(const Tensor& x);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> unary_rows();
}
