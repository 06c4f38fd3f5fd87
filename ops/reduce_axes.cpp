#include "ops/reduce_axes.h"

namespace gesso {

Shape kept_shape(const Shape& x, Axes axes) {
  Shape kept = x;
  for (int d = 0; d < x.rank(); ++d)
    if (axes >> d & 1u) kept[d] = 1;
  return kept;
}

std::int64_t reduced_count(const Shape& x, Axes axes) {
  std::int64_t count = 1;
  for (int d = 0; d < x.rank(); ++d)
    if (axes >> d & 1u) count *= x[d];
  return count;
}

Shape reduced_shape(std::string_view op, const Spec& x, Axes axes, bool keep_dims) {
  if (!is_floating(x.dtype)) fail("{}: x must be floating, but is {}", op, x.text());
  if (axes > all_axes(x.shape.rank())) fail("{}: x {} has no axis {}", op, x.text(), std::bit_width(axes) - 1);
  if (keep_dims) return kept_shape(x.shape, axes);
  Shape y;
  for (int d = 0; d < x.shape.rank(); ++d)
    if (!(axes >> d & 1u)) y.push_back(x.shape[d]);
  return y;
}

}  // namespace gesso
