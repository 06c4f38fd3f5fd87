#include "ops/reduce_parts.h"

namespace gesso {
namespace {

// Neighbouring dimensions of one kind, joined.
struct Group {
  std::int64_t size;
  bool reduced;
};
using Groups = std::vector<Group>;

Groups groups_of(const Shape& shape, Axes over) {
  Groups groups;
  for (int d = 0; d < shape.rank(); ++d) {
    const bool reduced = (over >> d & 1u) != 0;
    if (shape[d] == 1) continue;
    if (!groups.empty() && groups.back().reduced == reduced)
      groups.back().size *= shape[d];
    else
      groups.push_back({shape[d], reduced});
  }
  return groups;
}

std::int64_t product(Groups::const_iterator first, Groups::const_iterator last) {
  std::int64_t size = 1;
  for (; first != last; ++first) size *= first->size;
  return size;
}

}  // namespace

std::vector<ReducePass> reduce_passes(const Shape& shape, Axes over) {
  std::vector<ReducePass> passes;
  if (shape.count() == 0) return passes;
  Groups groups = groups_of(shape, over);
  for (std::size_t i = groups.size(); i-- > 0;) {
    if (!groups[i].reduced) continue;
    const auto group = groups.cbegin() + static_cast<std::ptrdiff_t>(i);
    passes.push_back({product(groups.cbegin(), group), group->size, product(group + 1, groups.cend())});
    groups.erase(group);
  }
  if (passes.empty()) passes.push_back({1, 1, shape.count()});
  return passes;
}

}  // namespace gesso
