// The largest element along axes, and where the largest and the smallest are.
#pragma once

#include "ops/reduce.h"

namespace gesso::ops {

// Over all axes: the result is a scalar of shape []. Where there is a NaN, it is the result, in argmax and argmin too.
// Throws where x lacks an axis, or where there is nothing along the axes.
//
// The gradient goes to the element that argmax names: the first of equal ones.
Tensor max(const Tensor& x, const ReduceAttrs& attrs);
Tensor max(const Tensor& x);
// Which one of the elements along the axes, i32, counted with the last axis fastest; the first of equal ones. Also
// throws where i32 cannot count them.
Tensor argmax(const Tensor& x, const ReduceAttrs& attrs);
Tensor argmax(const Tensor& x);
Tensor argmin(const Tensor& x, const ReduceAttrs& attrs);
Tensor argmin(const Tensor& x);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> extreme_rows();
}
