// Joining tensors along an axis, and cutting one into parts; any type of element.
#pragma once

#include <algorithm>
#include <array>

#include "ops/op.h"

namespace gesso::ops {

constexpr int kMaxParts = 8;

// Where the parts lie in the whole. Backward needs all sizes, whichever gradients are wanted, and keeps no operand for
// it.
struct PartsAttrs {
  int axis = 0;
  std::array<std::int64_t, kMaxParts> sizes{-1, -1, -1, -1, -1, -1, -1, -1};  // -1: there is none

  std::size_t count() const {
    return static_cast<std::size_t>(std::ranges::count_if(sizes, [](auto s) { return s >= 0; }));
  }
  std::int64_t sum() const {
    std::int64_t all = 0;
    for (std::size_t i = 0; i < count(); ++i) all += sizes[i];
    return all;
  }
};

// Two to eight tensors of one type, alike but for their size along `axis`; from the back where negative.
Tensor concat(std::span<const Tensor> parts, int axis);
inline Tensor concat(std::initializer_list<Tensor> parts, int axis) {
  return concat(std::span(parts.begin(), parts.size()), axis);
}
// Any number of them, at least one.
Tensor concat_all(Tensors parts, int axis);
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
