// Losses: one number of a batch.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// The mean of (x - target)^2 over all elements, as a scalar []; a gradient for both. Throws where shapes differ.
Tensor mse(const Tensor& x, const Tensor& target);

// The mean over n of -ln softmax(logits[n])[index[n]], as a scalar []. logits [N,K], index [N] i32 in [0, K); on the
// CPU an index outside is an error that names it.
Tensor cross_entropy(const Tensor& logits, const Tensor& index);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> loss_rows();
}
