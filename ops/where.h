// A choice between two operands, element by element.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// a where the condition is not 0, else b; condition u8, a and b floating, all three stretched to one shape as
// ops::add does. What is not chosen has no influence, NaN neither, and no gradient. Throws where sizes do not fit.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> where_rows();
}
