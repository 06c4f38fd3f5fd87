// Rows of a table by their numbers.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// y[...,D] = weight[index[...],:]; weight [K,D], index i32 of any shape, in [0, K). On the CPU an index outside is an
// error that names it.
Tensor embedding(const Tensor& weight, const Tensor& index);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> embedding_rows();
}
