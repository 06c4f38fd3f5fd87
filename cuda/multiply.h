// Products as entries use them.
#pragma once

#include "cuda/product.h"
#include "ops/op.h"

namespace gesso::cuda {

// Positions that lie `step` elements apart.
ProductAxis plain_axis(std::int64_t size, std::int64_t step);

// Computes `product`, of which all but how it is done is filled in. That depends on sizes and alignment alone.
void multiply(const Execution& run, Product product);

}  // namespace gesso::cuda
