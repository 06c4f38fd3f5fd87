// The axes of a tensor in another order; any type of element.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// Axis d of the result is axis order[d] of x (numpy's transpose): [N,H,W,C] with {0, 3, 1, 2} becomes [N,C,H,W]. A
// copy. Throws where `order` does not name each axis of x once.
Tensor permute(const Tensor& x, std::initializer_list<int> order);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> permute_rows();
}
