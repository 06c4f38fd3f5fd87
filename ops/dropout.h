// Dropout (Srivastava et al. 2014), as an op of its own; others may drop their result in the same pass.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct DropoutAttrs {
  double rate = 0;  // of the elements that are dropped, in [0, 1)
  std::uint64_t key = 0;
  std::int64_t first_sample = 0;
};
// x / (1 - rate) where `uniform` of x's shape would draw at least `rate`, else 0. Backward draws the same mask anew.
// step: [1] i64, not negative; it throws where the draws of ops/random.h do.
Tensor dropout(const Tensor& x, const Tensor& step, const DropoutAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> dropout_rows();
}
