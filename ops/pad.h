// More elements around a tensor; any type of element.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// What is added: zeros, or repetitions of the nearest element of x.
enum class PadMode : std::uint8_t { zero, edge };

// Elements to add at the beginning and at the end of each dimension; as many numbers as x has dimensions.
struct PadAttrs {
  Shape before{}, after{};
  PadMode mode = PadMode::zero;
};
// x between what is added, dimension by dimension. Throws on numbers that do not fit x's dimensions, are negative or
// give a size that cannot be counted, and with edge where there is no element to repeat.
Tensor pad(const Tensor& x, const PadAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> pad_rows();
}
