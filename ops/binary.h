// Elementwise arithmetic of two operands, with numpy's broadcasting.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// Shapes are aligned at the right; a dimension of 1 or a missing one stretches. Throws where sizes do not fit.
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// The larger, the smaller; NaN where one is NaN. Where both are equal, each gets half of the gradient;
// where one is NaN, neither gets any.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> binary_rows();
}
