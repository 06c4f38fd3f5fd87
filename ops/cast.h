// Elements of one type into another.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct CastAttrs {
  DType to = DType::f32;
  double scale = 1, shift = 0;  // bytes to [-1, 1]: scale 1 / 127.5, shift -1
};
// y = x * scale + shift in double, then rounded once to the type `to`; to whole numbers: to the nearest, ties to even,
// limited to the type's range, NaN to 0. The gradient passes where both types are floating.
Tensor cast(const Tensor& x, const CastAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> cast_rows();
}
