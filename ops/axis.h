// Axes as callers name them: from the back where negative.
#pragma once

#include <string_view>

#include "core/error.h"
#include "core/tensor.h"

namespace gesso {

inline int from_front(int axis, const Tensor& x) { return axis < 0 ? axis + x.shape().rank() : axis; }

// Throws, naming `op`, where x has no such axis, counted from the front.
inline void check_axis(std::string_view op, int axis, const Spec& x) {
  if (axis < 0 || axis >= x.shape.rank()) fail("{}: x {} has no axis {}", op, x.text(), axis);
}

}  // namespace gesso
