// Picks by the row that each picks, as entries use them.
#pragma once

#include "ops/picked_rows.h"

namespace gesso::cuda {

// Of row k: order[begins[k]] to order[begins[k + 1] - 1], ascending; i32. Picks outside [0, rows) follow the last
// row's.
struct SortedPicks {
  Tensor begins, order;  // [rows + 1], [picks]
};
// Throws where there are 2^31 rows or picks, or more.
SortedPicks sort_picks(const Execution& run, const Tensor& index, std::int64_t rows);

// y[o,k,:] = the sum of x[o,j,:] over the picks j of row k, in an order that depends on the indices alone; y is NaN
// where one of them lies outside.
void add_picked_rows(const Execution& run, const PickedRows& size, const SortedPicks& picks, const Tensor& x,
                     const Tensor& y);

}  // namespace gesso::cuda
