// A box cut out of a tensor; any type of element.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// Where the box begins along each dimension, and its size; as many numbers as x has dimensions.
struct SliceAttrs {
  Shape begin{}, size{};
};
// Where only the outermost dimension is cut, a view of x; else a copy. Throws where the box does not lie in x.
Tensor slice(const Tensor& x, const SliceAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> slice_rows();
}
