// Rows picked by index along any axis, and their adjoint.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct GatherAttrs {
  int axis = 0;  // in a call from the front
};
// y[a...,j...,b...] = x[a...,index[j...],b...]: along `axis` (from the back where negative) x's elements by their
// numbers, as numpy's take and, for a vector of indices, PyTorch's index_select. index i32 of any shape, which takes
// the axis's place; x of any type. Throws ErrorKind::usage where index is not i32, x has no such axis or the result has
// more dimensions than a tensor may have; on the CPU ErrorKind::data, naming it, on an index outside [0, size of the
// axis).
Tensor gather(const Tensor& x, const Tensor& index, int axis);

struct ScatterAddAttrs {
  int axis = 0;           // from the back where negative, counted in x
  std::int64_t size = 0;  // of that axis in the result
};
// The adjoint of gather: y[a...,k,b...] = the sum of x[a...,j...,b...] over the j with index[j...] = k, in the order of
// the indices, 0 where there is none. x has the axes of `index` from `axis` on. Throws as gather does, and
// ErrorKind::usage where x is not floating or lacks those axes, or where `size` is negative.
Tensor scatter_add(const Tensor& x, const Tensor& index, const ScatterAddAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> gather_rows();
}
