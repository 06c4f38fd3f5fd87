// Joining tensors along an axis, and cutting one into parts; any type of element.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

constexpr int kMaxParts = 8;

// Two to eight tensors of one type, alike but for their size along `axis`; from the back where negative.
Tensor concat(std::span<const Tensor> parts, int axis);
inline Tensor concat(std::initializer_list<Tensor> parts, int axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}
// The inverse: parts of these sizes, which must add up to x's size along `axis`.
Tensors split(const Tensor& x, int axis, std::span<const std::int64_t> sizes);
inline Tensors split(const Tensor& x, int axis, std::initializer_list<std::int64_t> sizes) {
  return split(x, axis, std::span(sizes.begin(), sizes.size()));
}
// `parts` equal parts.
Tensors split_equally(const Tensor& x, int axis, int parts);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> concat_rows();
}
