#include "ops/broadcast.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk: 64 KiB in and out stay in L2
constexpr std::int64_t kPiece = 1024;     // columns that are summed at a time: 8 KiB of doubles stay in L1

std::int64_t pieces_of(std::int64_t n, std::int64_t piece) { return (n + piece - 1) / piece; }

// The dimensions of a loop, innermost first, neighbours joined where all operands allow it; at least rows and columns.
struct Loop {
  int rank = 0;
  Steps size, a, b;
};

Loop join_dimensions(const Shape& result, const Steps& a, const Steps& b) {
  Loop loop;
  loop.size.fill(1);
  loop.a.fill(0);
  loop.b.fill(0);
  for (int d = result.rank() - 1; d >= 0; --d) {
    const auto i = static_cast<std::size_t>(d);
    const std::size_t last = static_cast<std::size_t>(std::max(loop.rank - 1, 0));
    if (result[d] == 1) continue;
    if (loop.rank > 0 && a[i] == loop.a[last] * loop.size[last] && b[i] == loop.b[last] * loop.size[last]) {
      loop.size[last] *= result[d];
      continue;
    }
    const auto next = static_cast<std::size_t>(loop.rank++);
    loop.size[next] = result[d];
    loop.a[next] = a[i];
    loop.b[next] = b[i];
  }
  return loop;
}

// Where row `row` of an operand begins.
std::int64_t row_begin(const Loop& loop, const Steps& steps, std::int64_t row) {
  std::int64_t begin = 0;
  for (std::size_t d = 1; d < loop.size.size(); ++d) {
    begin += row % loop.size[d] * steps[d];
    row /= loop.size[d];
  }
  return begin;
}

// y[outer,inner] = scale * the sum over r of x[outer,r,inner].
void sum_middle(const Execution& run, const std::array<std::int64_t, 3>& sizes, const float* x, double scale,
                float* y) {
  const auto [outer, r, inner] = sizes;
  const auto sum_rows = broadcast_kernels(run.isa).sum_rows;
  const std::int64_t piece = std::min(inner, kPiece), pieces = pieces_of(inner, piece);
  const std::int64_t rows = std::max<std::int64_t>(1, kGrain / piece), chunks = pieces_of(r, rows);
  const Tensor partial = run.scratch({{chunks > 1 ? chunks : 0, outer, inner}, DType::f64});
  double* partial_sums = partial.data<double>().data();  // [chunks,outer,inner]
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / (std::min(rows, r) * piece));
  parallel_for(run.pool, outer * chunks * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    std::array<double, kPiece> sums;
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t first = unit % pieces * piece, n = std::min(piece, inner - first);
      const std::int64_t chunk = unit / pieces % chunks, o = unit / (pieces * chunks);
      const std::int64_t count = std::min(rows, r - chunk * rows);
      sum_rows(count, n, inner, x + (o * r + chunk * rows) * inner + first, sums.data());
      const std::int64_t at = o * inner + first;
      if (chunks > 1) {
        std::copy_n(sums.begin(), n, partial_sums + chunk * outer * inner + at);
        continue;
      }
      for (std::int64_t i = 0; i < n; ++i) y[at + i] = static_cast<float>(scale * sums[static_cast<std::size_t>(i)]);
    }
  });
  if (chunks == 1) return;
  parallel_for(run.pool, outer * inner, std::max<std::int64_t>(1, kGrain / chunks),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   double sum = 0;
                   for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial_sums[chunk * outer * inner + i];
                   y[i] = static_cast<float>(scale * sum);
                 }
               });
}

// Neighbouring dimensions of one kind, joined.
struct Group {
  std::int64_t size;
  bool summed;
};
using Groups = std::vector<Group>;

Groups groups_of(const Shape& shape, Axes over) {
  Groups groups;
  for (int d = 0; d < shape.rank(); ++d) {
    const bool summed = (over >> d & 1u) != 0;
    if (shape[d] == 1) continue;
    if (!groups.empty() && groups.back().summed == summed)
      groups.back().size *= shape[d];
    else
      groups.push_back({shape[d], summed});
  }
  return groups;
}

std::int64_t product(Groups::const_iterator first, Groups::const_iterator last) {
  std::int64_t size = 1;
  for (; first != last; ++first) size *= first->size;
  return size;
}

}  // namespace

Shape broadcast_shape(std::string_view op, const Spec& a, const Spec& b) {
  const Shape &longer = a.shape.rank() >= b.shape.rank() ? a.shape : b.shape,
              &shorter = a.shape.rank() >= b.shape.rank() ? b.shape : a.shape;
  Shape result = longer;
  for (int d = 1; d <= shorter.rank(); ++d) {
    std::int64_t& size = result[result.rank() - d];
    const std::int64_t other = shorter[shorter.rank() - d];
    if (size != other && size != 1 && other != 1)
      fail("{}: a {} and b {} do not fit: aligned at the right, sizes must be equal or one of them 1, but {} meets {}",
           op, a.text(), b.text(), size, other);
    if (size == 1) size = other;
  }
  return result;
}

Steps steps_of(const Shape& operand, const Shape& result) {
  Steps steps{};
  std::int64_t step = 1;
  for (int d = 1; d <= operand.rank(); ++d) {
    const std::int64_t size = operand[operand.rank() - d];
    if (size != 1) steps[static_cast<std::size_t>(result.rank() - d)] = step;
    step *= size;
  }
  return steps;
}

std::int64_t position(std::int64_t i, const Shape& result, const Steps& steps) {
  std::int64_t at = 0;
  for (int d = result.rank() - 1; d >= 0; --d) {
    at += i % result[d] * steps[static_cast<std::size_t>(d)];
    i /= result[d];
  }
  return at;
}

Axes stretched_axes(const Shape& operand, const Shape& result) {
  Axes stretched = 0;
  const int missing = result.rank() - operand.rank();
  for (int d = 0; d < result.rank(); ++d)
    if (d < missing || operand[d - missing] != result[d]) stretched |= axes(d);
  return stretched;
}

const BroadcastKernels& broadcast_kernels(Isa isa) {
  return by_isa(isa, broadcast_kernels<simd::Baseline>, broadcast_kernels<simd::Avx2>,
                broadcast_kernels<simd::Avx512>)();
}

void apply_broadcast(const Execution& run, BinaryKernel kernel, const Shape& result, const Stretched& a,
                     const Stretched& b, float* y) {
  if (result.count() == 0) return;
  const Loop loop = join_dimensions(result, steps_of(a.shape, result), steps_of(b.shape, result));
  const std::int64_t n = loop.size[0], rows = loop.size[1], all_rows = result.count() / n;
  const auto block = [&](std::int64_t row, std::int64_t count, std::int64_t column, std::int64_t columns) {
    kernel(count, columns, {a.data + row_begin(loop, loop.a, row) + column * loop.a[0], loop.a[1], loop.a[0]},
           {b.data + row_begin(loop, loop.b, row) + column * loop.b[0], loop.b[1], loop.b[0]}, y + row * n + column);
  };
  if (n > kGrain) {
    const std::int64_t pieces = pieces_of(n, kGrain);
    run.pool.run(all_rows * pieces, [&](std::int64_t chunk, int) {
      const std::int64_t column = chunk % pieces * kGrain;
      block(chunk / pieces, 1, column, std::min(kGrain, n - column));
    });
    return;
  }
  parallel_for(run.pool, all_rows, kGrain / n, [&](std::int64_t row, std::int64_t end) {
    while (row < end) {  // up to the next step of an outer dimension
      const std::int64_t count = std::min(end - row, rows - row % rows);
      block(row, count, 0, n);
      row += count;
    }
  });
}

void sum_axes(const Execution& run, const Stretched& x, Axes over, double scale, float* y) {
  std::vector<Group> groups = groups_of(x.shape, over);
  std::int64_t kept = 1;
  for (const Group& g : groups) kept *= g.summed ? 1 : g.size;
  if (kept == 0) return;
  if (x.shape.count() == 0) {
    std::fill_n(y, kept, 0.0f);
    return;
  }
  auto left = std::ranges::count_if(groups, &Group::summed);
  if (left == 0) {
    const float factor = static_cast<float>(scale);
    return apply_broadcast(run, broadcast_kernels(run.isa).mul, Shape{kept}, {x.data, Shape{kept}}, {&factor, {}}, y);
  }
  Tensor between;
  const float* from = x.data;
  for (; left > 0; --left) {  // one group at a time, the innermost first
    const auto group = std::find_if(groups.rbegin(), groups.rend(), std::mem_fn(&Group::summed)).base() - 1;
    const std::array<std::int64_t, 3> sizes{product(groups.begin(), group), group->size,
                                            product(group + 1, groups.end())};
    const Tensor next = left > 1 ? run.scratch({{sizes[0] * sizes[2]}, DType::f32}) : Tensor();
    float* to = next ? next.data<float>().data() : y;
    sum_middle(run, sizes, from, left > 1 ? 1 : scale, to);
    groups.erase(group);
    between = next;
    from = to;
  }
}

}  // namespace gesso
