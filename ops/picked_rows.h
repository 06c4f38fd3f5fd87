// Rows picked by index and their adjoint: what embedding, gather and scatter_add share. An embedding is a gather along
// the first axis of a matrix.
#pragma once

#include "ops/op.h"

namespace gesso {

// One side [outer,rows,inner], the other [outer,picks,inner]; pick j is row index[j].
struct PickedRows {
  std::int64_t outer, rows, picks, inner;
};
// Along `axis` of a tensor.
PickedRows picked_rows(const Shape& with_rows, int axis, const Shape& index);

// y[o,j,:] = x[o,index[j],:], any type of element. Throws, naming `op`, where an index does not lie in [0, rows).
void take_rows(const Execution& run, std::string_view op, const PickedRows& size, const Tensor& x, const Tensor& index,
               const Tensor& y);
// y[o,k,:] = the sum of x[o,j,:] over the j with index[j] = k, in the order of j; f32. Throws as above. A thread owns
// slices or rows of y, so no two add to one element and the order never changes.
void scatter_add_rows(const Execution& run, std::string_view op, const PickedRows& size, const Tensor& x,
                      const Tensor& index, const Tensor& y);

// The same element by element, for references: visit(element on the rows' side, element on the picks' side) in the
// order of the picks.
template <class Visit>
void for_each_picked(const PickedRows& size, std::span<const std::int32_t> index, Visit visit) {
  for (std::int64_t o = 0; o < size.outer; ++o)
    for (std::int64_t j = 0; j < size.picks; ++j)
      for (std::int64_t i = 0; i < size.inner; ++i)
        visit((o * size.rows + index[static_cast<std::size_t>(j)]) * size.inner + i,
              (o * size.picks + j) * size.inner + i);
}

}  // namespace gesso
