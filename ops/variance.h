// The variance along axes.
#pragma once

#include "ops/axes.h"
#include "ops/op.h"

namespace gesso::ops {

struct VarAttrs {
  Axes axes = 0;
  bool keep_dims = false;       // reduced dimensions stay, with size 1
  std::int64_t correction = 1;  // subtracted from the number of elements: 1 unbiased, 0 of the elements themselves
};

// The sum of (x - mean)^2 over the axes, divided by their number of elements less the correction; over all axes a
// scalar []. NaN where one element is not finite. Throws where x lacks an axis, and where there are not more elements
// than the correction.
Tensor var(const Tensor& x, const VarAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> variance_rows();
}
