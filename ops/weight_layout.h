// Weights of convolutions between disk, [O,I,H,W] (OIHW), and memory, [O,H,W,I] (OHWI).
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// [O,I,H,W] -> [O,H,W,I] and back. Throws unless weight is floating and has four dimensions.
Tensor oihw_to_ohwi(const Tensor& weight);
Tensor ohwi_to_oihw(const Tensor& weight);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> weight_layout_rows();
}
