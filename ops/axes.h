// Sets of a tensor's dimensions.
#pragma once

#include <cstdint>

namespace gesso {

// Dimension i is bit i, counted from the outermost: axes(0, 2).
using Axes = std::uint32_t;
template <class... I>
constexpr Axes axes(I... i) {
  return (0u | ... | (1u << i));
}

}  // namespace gesso
