// Reductions over any axes, on all threads: rows of floats become parts (a sum; a mean and a deviation; a largest value
// and its place), and parts are joined, in an order that depends on the shape alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "ops/broadcast.h"
#include "ops/op.h"

namespace gesso {

constexpr std::int64_t kReduceGrain = 1 << 14;  // elements a chunk: 64 KiB stay in L2
constexpr std::int64_t kReducePiece = 1024;     // columns at a time: 8 KiB of doubles stay in L1

// How a reduction runs: neighbouring reduced dimensions are joined, and one such group at a time, the innermost first,
// [outer,r,inner] becomes [outer,inner]. At least one pass; none where there is nothing in x or nothing left of it.
using ReducePass = std::array<std::int64_t, 3>;
std::vector<ReducePass> reduce_passes(const Shape& shape, Axes over);

// Scratch memory of `count` parts.
template <class Part>
class Parts {
  static_assert(std::is_trivially_copyable_v<Part> && alignof(Part) <= alignof(double));

 public:
  Parts(const Execution& run, std::int64_t count)
      : memory_(run.scratch({{count * static_cast<std::int64_t>(sizeof(Part))}, DType::u8})) {}
  Part* data() const { return reinterpret_cast<Part*>(memory_.bytes()); }

 private:
  Tensor memory_;
};

// [outer,r,inner] parts -> [outer,inner]. join(sum, next, before): `before` elements of x went into the sum.
template <class Part, class Join>
Parts<Part> join_parts(const Execution& run, const ReducePass& pass, std::int64_t elements_a_part,
                       const Parts<Part>& from, Join join) {
  const auto [outer, r, inner] = pass;
  if (r == 1) return from;
  const Parts<Part> to(run, outer * inner);
  parallel_for(run.pool, outer * inner, std::max<std::int64_t>(1, kReduceGrain / r),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const Part* part = from.data() + i / inner * r * inner + i % inner;
                   Part sum = *part;
                   for (std::int64_t j = 1; j < r; ++j) join(sum, part[j * inner], j * elements_a_part);
                   to.data()[i] = sum;
                 }
               });
  return to;
}

// rows_to_parts(rows, n, row, x, parts): parts[n] of `rows` rows of n <= kReducePiece columns, `row` elements apart; at
// most kReduceGrain elements, but at least one row. Then finish(i, part) for each result, in the order of the
// dimensions that stay.
template <class Part, class RowsToParts, class Join, class Finish>
void reduce_to_parts(const Execution& run, const Stretched& x, Axes over, RowsToParts rows_to_parts, Join join,
                     Finish finish) {
  const std::vector<ReducePass> passes = reduce_passes(x.shape, over);
  if (passes.empty()) return;
  const auto [outer, r, inner] = passes.front();
  const std::int64_t piece = std::min(inner, kReducePiece), pieces = (inner + piece - 1) / piece;
  const std::int64_t rows = std::min(r, std::max<std::int64_t>(1, kReduceGrain / piece));
  const std::int64_t chunks = (r + rows - 1) / rows;
  Parts<Part> parts(run, outer * chunks * inner);  // [outer,chunks,inner]
  const std::int64_t grain = std::max<std::int64_t>(1, kReduceGrain / (rows * piece));
  parallel_for(run.pool, outer * chunks * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t first = unit % pieces * piece, chunk = unit / pieces % chunks, o = unit / (pieces * chunks);
      rows_to_parts(std::min(rows, r - chunk * rows), std::min(piece, inner - first), inner,
                    x.data + (o * r + chunk * rows) * inner + first, parts.data() + unit / pieces * inner + first);
    }
  });
  parts = join_parts(run, {outer, chunks, inner}, rows, parts, join);
  std::int64_t elements = r;
  for (std::size_t i = 1; i < passes.size(); elements *= passes[i++][1])
    parts = join_parts(run, passes[i], elements, parts, join);
  parallel_for(run.pool, passes.back()[0] * passes.back()[2], kReduceGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) finish(i, parts.data()[i]);
  });
}

}  // namespace gesso
