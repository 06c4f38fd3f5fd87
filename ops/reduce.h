// Sums and means over any set of axes.
#pragma once

#include "ops/axes.h"
#include "ops/op.h"

namespace gesso::ops {

struct ReduceAttrs {
  Axes axes = 0;
  bool keep_dims = false;  // summed dimensions stay, with size 1
};

// Over all axes: the result is a scalar of shape [].
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);
// sum(x, {.axes = axes(0, 2)}). Throws where x lacks an axis; mean also where there is nothing to average.
Tensor sum(const Tensor& x, const ReduceAttrs& attrs);
Tensor mean(const Tensor& x, const ReduceAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> reduce_rows();
}
