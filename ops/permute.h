// The axes of a tensor in another order; any type of element.
#pragma once

#include <array>

#include "ops/op.h"

namespace gesso::ops {

struct PermuteAttrs {
  int rank = 0;
  std::array<std::int8_t, Shape::kMaxRank> axes{};  // of y: which axis of x each is

  int operator[](int d) const { return axes[static_cast<std::size_t>(d)]; }
  PermuteAttrs inverse() const {
    PermuteAttrs turned{.rank = rank};
    for (int d = 0; d < rank; ++d) turned.axes[static_cast<std::size_t>((*this)[d])] = static_cast<std::int8_t>(d);
    return turned;
  }
};

// Axis d of the result is axis order[d] of x (numpy's transpose): [N,H,W,C] with {0, 3, 1, 2} becomes [N,C,H,W]. A
// copy. Throws where `order` does not name each axis of x once.
Tensor permute(const Tensor& x, std::initializer_list<int> order);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> permute_rows();
}
