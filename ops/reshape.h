// Seeing a tensor in another shape: the one op that is no row, since it has no kernel. Forward and backward are views.
#pragma once

#include "core/tensor.h"

namespace gesso::ops {

// x seen as `shape`, with its gradient passing through. One dimension may be -1: what is left. Throws where counts
// differ.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> dims);

// x as a constant: no gradient passes (sg in van den Oord et al. 2017, eq. 3).
Tensor stop_gradient(const Tensor& x);

}  // namespace gesso::ops
