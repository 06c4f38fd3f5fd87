// What rows that read indices share.
#pragma once

#include "ops/op.h"

namespace gesso {

// Throws, naming the first index of `op` that does not lie in [0, below) and its place. The host reads the indices, so
// this is for kernels of the CPU.
void check_index_range(std::string_view op, const Tensor& index, std::int64_t below);

}  // namespace gesso
