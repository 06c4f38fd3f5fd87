// What rows that read indices share.
#pragma once

#include "ops/op.h"

namespace gesso {

// Throws, naming the first index of `op` that does not lie in [0, below) and its place. The host reads the indices, so
// this is for kernels of the CPU.
// Those of a GPU cannot throw: what they take by an index outside has all bits set (NaN, or -1), and sums by such
// indices are NaN, so that the step's finite check sees it.
void check_index_range(std::string_view op, const Tensor& index, std::int64_t below);

}  // namespace gesso
