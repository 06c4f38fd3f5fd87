// Softmax over the last axis.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// Over the last axis of x. A row of nothing but -infinity, where no choice is left, gives 0 (softmax) and -infinity
// (log_softmax) everywhere; a NaN or +infinity makes its row NaN. Throws where x is a scalar.
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> softmax_rows();
}
