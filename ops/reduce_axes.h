// What reductions over a set of axes share: rules of shapes, and the cases that they are checked with.
#pragma once

#include <bit>
#include <vector>

#include "ops/broadcast.h"
#include "ops/op.h"

namespace gesso {

constexpr Axes all_axes(int rank) { return (1u << rank) - 1; }

// x's shape with the reduced dimensions at size 1.
Shape kept_shape(const Shape& x, Axes axes);
// Elements that one result is made of.
std::int64_t reduced_count(const Shape& x, Axes axes);
// The result's shape. Throws, naming `op`, where x is not floating or lacks an axis.
Shape reduced_shape(std::string_view op, const Spec& x, Axes axes, bool keep_dims);

// Attrs has axes and keep_dims. One result of at least one element, and more than one chunk of each kind.
template <class Attrs>
std::vector<Case<Attrs>> reduction_samples(Domain d) {
  return {{"all", {.axes = axes(0, 1, 2)}, {{{2, 3, 5}, d}}},
          {"of a scalar", {.axes = 0}, {{{}, d}}},
          {"none", {.axes = 0}, {{{4, 3}, d}}},
          {"first", {.axes = axes(0)}, {{{5, 7}, d}}},
          {"last", {.axes = axes(1)}, {{{5, 7}, d}}},
          {"middle, kept", {.axes = axes(1), .keep_dims = true}, {{{3, 4, 5}, d}}},
          {"around the middle", {.axes = axes(0, 2)}, {{{3, 4, 5}, d}}},
          {"every other", {.axes = axes(0, 2, 4), .keep_dims = true}, {{{2, 3, 1, 4, 5}, d}}},
          {"nothing left", {.axes = axes(1)}, {{{0, 4}, d}}},
          {"several chunks", {.axes = axes(0, 1)}, {{{3, 17001}, d}}},
          {"several chunks of rows", {.axes = axes(0)}, {{{1201, 50}, d}}},
          {"a row more than a chunk", {.axes = axes(0)}, {{{257, 32}, d}}},
          {"several chunks of columns", {.axes = axes(0)}, {{{3, 18001}, d}}},
          {"many small ones", {.axes = axes(1)}, {{{9001, 3}, d}}}};
}
template <class Attrs>
Case<Attrs> random_reduction(Random& random, Domain d) {
  Shape x;
  for (std::uint64_t rank = 1 + random() % 4; rank > 0; --rank)
    x.push_back(1 + static_cast<std::int64_t>(random() % 9));
  const Axes some = static_cast<Axes>(random() % (all_axes(x.rank()) + 1));
  return {"random", {.axes = some, .keep_dims = random() % 2 == 1}, {{x, d}}};
}

}  // namespace gesso
