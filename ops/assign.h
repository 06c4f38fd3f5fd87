// Overwriting state at the end of a step, once the step is known to be good.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// target takes the elements of value, of the same shape and type, unless gate [1] f32 is not finite: then it stays as
// it is. Throws where shapes differ.
void assign(const Tensor& target, const Tensor& value, const Tensor& gate);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> assign_rows();
}
