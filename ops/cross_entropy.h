// The loss over classes: one number of a batch.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct CrossEntropyAttrs {
  double label_smoothing = 0;  // in [0, 1]: that share of the target is spread evenly over all K classes
};
// The mean over all rows of -sum_k q_k ln softmax(logits)_k, q = (1 - label_smoothing) one_hot(index) +
// label_smoothing / K, as a scalar []: finite for any finite logits. logits [...,K] floating, index [...] i32 in [0,
// K); on the CPU an index outside is an error that names it. The gradient is the logits'.
Tensor cross_entropy(const Tensor& logits, const Tensor& index, const CrossEntropyAttrs& attrs = {});

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> cross_entropy_rows();
}
