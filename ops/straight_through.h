// Passing a gradient around what has none (Bengio, Leonard and Courville 2013, "Estimating or propagating gradients
// through stochastic neurons").
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// q going forward, as if it were z going backward: y = q, dz = dy. q gets no gradient.
// Throws where the shapes of z and q differ.
Tensor straight_through(const Tensor& z, const Tensor& q);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> straight_through_rows();
}
