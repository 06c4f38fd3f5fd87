#include "ops/pad.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "ops/describe.h"
#include "ops/window.h"

namespace gesso {
namespace {

using ops::PadMode;

constexpr std::int64_t kGrain = 1 << 16;  // bytes a chunk

// With PadMode::edge, rows of the padded tensor: its innermost dimensions up to the last one that is padded, as bytes.
struct Rows {
  Rows(const ops::PadAttrs& attrs, const Shape& x, DType dtype) {
    int last = x.rank() - 1;
    while (last > 0 && attrs.before[last] == 0 && attrs.after[last] == 0) --last;
    inner = static_cast<std::int64_t>(size_of(dtype));
    for (int d = last + 1; d < x.rank(); ++d) inner *= x[d];
    outer_rank = std::max(last, 0);
    const bool scalar = x.rank() == 0;
    left = scalar ? 0 : attrs.before[last] * inner;
    middle = scalar ? inner : x[last] * inner;
    row = scalar ? inner : left + middle + attrs.after[last] * inner;
    for (int d = 0; d < outer_rank; ++d) {
      count *= x[d] + attrs.before[d] + attrs.after[d];
      count_of_x *= x[d];
    }
  }
  int outer_rank = 0;
  std::int64_t inner = 0;  // one place of the last dimension that is padded
  std::int64_t left = 0, middle = 0, row = 0;
  std::int64_t count = 1, count_of_x = 1;
};

// Which row of x row `row` of the padded tensor repeats.
std::int64_t row_of_x(const ops::PadAttrs& attrs, const Shape& x, int outer_rank, std::int64_t row) {
  std::int64_t at = 0, step = 1;
  for (int d = outer_rank - 1; d >= 0; --d) {
    const std::int64_t size = x[d] + attrs.before[d] + attrs.after[d];
    at += std::clamp<std::int64_t>(row % size - attrs.before[d], 0, x[d] - 1) * step;
    step *= x[d];
    row /= size;
  }
  return at;
}

// body(row of the padded tensor) for every row that repeats row `row` of x: at the ends of a dimension, the padding
// beside them too.
template <class Body>
void for_each_repeat(const ops::PadAttrs& attrs, const Shape& x, int outer_rank, std::int64_t row, Body&& body) {
  struct Places {
    std::int64_t begin, end, size;
  };
  std::array<Places, Shape::kMaxRank> places{};
  std::array<std::int64_t, Shape::kMaxRank> at{};
  for (int d = outer_rank - 1; d >= 0; --d) {
    const std::int64_t place = row % x[d], size = x[d] + attrs.before[d] + attrs.after[d];
    const auto i = static_cast<std::size_t>(d);
    places[i] = {place == 0 ? 0 : place + attrs.before[d], place + 1 == x[d] ? size : place + attrs.before[d] + 1,
                 size};
    at[i] = places[i].begin;
    row /= x[d];
  }
  while (true) {
    std::int64_t padded = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(outer_rank); ++i) padded = padded * places[i].size + at[i];
    body(padded);
    auto d = static_cast<std::size_t>(outer_rank);
    while (d > 0 && ++at[d - 1] == places[d - 1].end) {
      --d;
      at[d] = places[d].begin;
    }
    if (d == 0) return;
  }
}

void repeat(std::byte* to, const std::byte* from, std::int64_t bytes, std::int64_t total) {
  for (std::int64_t at = 0; at < total; at += bytes) std::memcpy(to + at, from, static_cast<std::size_t>(bytes));
}

// to[n] += from[n]
void add(float* to, const float* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
}

struct Pad {
  static constexpr std::string_view name = "pad";
  static constexpr std::string_view doc =
      "y = x with before[d] places in front of dimension d and after[d] behind it: zeros, or (edge) the nearest "
      "element of x again; dx = dy without them, or (edge) with each added to the element that it repeats";
  using Attrs = ops::PadAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    if (attrs.before.rank() != x.shape.rank() || attrs.after.rank() != x.shape.rank())
      fail("pad: x {} needs {} numbers before and after, but has {} and {}", x.text(), x.shape.rank(),
           attrs.before.text(), attrs.after.text());
    Spec y = x;
    for (int d = 0; d < x.shape.rank(); ++d) {
      std::int64_t added = 0;
      if (__builtin_add_overflow(attrs.before[d], attrs.after[d], &added) ||
          __builtin_add_overflow(x.shape[d], added, &y.shape[d]))
        fail("pad: the places along axis {} of x {}, with {} before and {} after, cannot be counted", d, x.text(),
             attrs.before[d], attrs.after[d]);
      if (attrs.mode == PadMode::edge && x.shape[d] == 0 && added > 0)
        fail("pad: x {} has no element along axis {} that {} places could repeat", x.text(), d, added);
    }
    return {y};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  // edge: sums of a few terms in float.
  static double tolerance(const Attrs& attrs, std::span<const Spec>) { return attrs.mode == PadMode::edge ? 1e-6 : 0; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const Tensor &x = f.in[0], &y = f.out[0];
    if (attrs.mode == PadMode::zero) return place_window_naively(x, attrs.before, y);
    const auto bytes = static_cast<std::int64_t>(size_of(x.dtype()));
    for (std::int64_t i = 0; i < y.count(); ++i)
      std::memcpy(y.bytes() + i * bytes, x.bytes() + row_of_x(attrs, x.shape(), x.shape().rank(), i) * bytes,
                  static_cast<std::size_t>(bytes));
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    if (attrs.mode == PadMode::zero) return take_window_naively(b.dy[0], attrs.before, b.dx[0]);
    const std::span<T> dx = b.dx[0].data<T>(), dy = b.dy[0].data<T>();
    const Shape& x = b.dx[0].shape();
    std::ranges::fill(dx, T{0});
    for (std::size_t i = 0; i < dy.size(); ++i)
      dx[static_cast<std::size_t>(row_of_x(attrs, x, x.rank(), static_cast<std::int64_t>(i)))] += dy[i];
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    if (attrs.mode == PadMode::zero)
      place_window(f.run, f.in[0], attrs.before, f.out[0]);
    else
      edge(f.run, attrs, Rows(attrs, f.in[0].shape(), f.in[0].dtype()), f.in[0], f.out[0]);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    if (attrs.mode == PadMode::zero)
      take_window(b.run, b.dy[0], attrs.before, b.dx[0]);
    else
      edge_backward(b.run, attrs, Rows(attrs, b.dx[0].shape(), b.dx[0].dtype()), b.dy[0], b.dx[0]);
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"image", {.before = {0, 1, 2, 0}, .after = {0, 2, 1, 0}}, {{{2, 3, 4, 5}}}},
            {"right and bottom", {.before = {0, 0, 0, 0}, .after = {0, 1, 1, 0}}, {{{2, 3, 4, 1}}}},
            {"everywhere", {.before = {1, 2, 3}, .after = {3, 2, 1}}, {{{2, 3, 4}}}},
            {"vector", {.before = {2}, .after = {3}}, {{{5}}}},
            {"nothing", {.before = {0, 0}, .after = {0, 0}}, {{{2, 3}}}},
            {"scalar", {}, {{{}}}},
            {"around nothing", {.before = {1, 2}, .after = {0, 2}}, {{{0, 3}}}},
            {"empty", {.before = {0, 2}, .after = {0, 2}}, {{{0, 3}}}},
            {"whole numbers", {.before = {1, 2}, .after = {0, 2}}, {{{2, 3}, Domain::index, 100}}},
            {"bytes", {.before = {1, 2}, .after = {0, 2}}, {{{2, 3}, Domain::byte}}},
            {"several chunks", {.before = {0, 1, 1, 0}, .after = {0, 1, 1, 0}}, {{{8, 30, 33, 17}}}},
            {"edge of an image", {{0, 1, 2, 0}, {0, 2, 1, 0}, PadMode::edge}, {{{2, 3, 4, 5}}}},
            {"edge, right and bottom", {{0, 0, 0, 0}, {0, 3, 2, 0}, PadMode::edge}, {{{2, 5, 6, 3}}}},
            {"edge everywhere", {{1, 2, 3}, {3, 2, 1}, PadMode::edge}, {{{2, 3, 4}}}},
            {"edge of six dimensions", {{1, 0, 2, 0, 1, 1}, {0, 1, 0, 1, 0, 1}, PadMode::edge}, {{{2, 2, 1, 3, 2, 2}}}},
            {"edge of one element", {{2}, {3}, PadMode::edge}, {{{1}}}},
            {"edge of nothing", {{0, 0}, {0, 2}, PadMode::edge}, {{{0, 3}}}},
            {"edge of a scalar", {.mode = PadMode::edge}, {{{}}}},
            {"edge of bytes", {{1, 2}, {0, 2}, PadMode::edge}, {{{2, 3}, Domain::byte}}},
            {"edge, several chunks", {{0, 1, 1, 0}, {0, 1, 1, 0}, PadMode::edge}, {{{8, 30, 33, 17}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    Attrs attrs;
    Shape x;
    for (int d = static_cast<int>(pick(random, 1, 4)); d > 0; --d) {
      x.push_back(pick(random, 1, 6));
      attrs.before.push_back(pick(random, 0, 3));
      attrs.after.push_back(pick(random, 0, 3));
    }
    attrs.mode = pick(random, 0, 1) == 0 ? PadMode::zero : PadMode::edge;
    return {"random", attrs, {{x}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    return {
        {{.before = {kMost}, .after = {kMost}}, {{{3}}}, {"pad: the places along axis 0 of x [3] f32", "cannot be"}},
        {{{kMost}, {kMost}, PadMode::edge}, {{{3}}}, {"pad: the places along axis 0 of x [3] f32", "be counted"}},
        {{.before = {0, kMost - 2}, .after = {0, 0}}, {{{1, 3}}}, {"axis 1 of x [1,3] f32", "cannot be counted"}},
        {{.before = {1}, .after = {1}}, {{{3, 4}}}, {"pad: x [3,4] f32 needs 2 numbers", "[1] and [1]"}},
        {{{0, 0}, {1, 0}, PadMode::edge}, {{{0, 4}}}, {"pad: x [0,4] f32 has no element along axis 0", "1 places"}}};
  }

 private:
  static void edge(const Execution& run, const Attrs& attrs, const Rows& rows, const Tensor& x, const Tensor& y) {
    if (rows.row == 0) return;
    parallel_for(run.pool, rows.count, std::max<std::int64_t>(1, kGrain / rows.row),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) {
                     const std::byte* from = x.bytes() + row_of_x(attrs, x.shape(), rows.outer_rank, r) * rows.middle;
                     std::byte *row = y.bytes() + r * rows.row, *right = row + rows.left + rows.middle;
                     repeat(row, from, rows.inner, rows.left);
                     std::memcpy(row + rows.left, from, static_cast<std::size_t>(rows.middle));
                     repeat(right, from + rows.middle - rows.inner, rows.inner, rows.row - rows.left - rows.middle);
                   }
                 });
  }
  static void edge_backward(const Execution& run, const Attrs& attrs, const Rows& rows, const Tensor& dy,
                            const Tensor& dx) {
    if (rows.middle == 0) return;
    const auto floats = [](std::int64_t bytes) { return bytes / static_cast<std::int64_t>(sizeof(float)); };
    const std::int64_t inner = floats(rows.inner), left = floats(rows.left), middle = floats(rows.middle),
                       row = floats(rows.row);
    parallel_for(run.pool, rows.count_of_x, std::max<std::int64_t>(1, kGrain / rows.row),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t r = begin; r < end; ++r) {
                     float* to = dx.data<float>().data() + r * middle;
                     std::fill_n(to, middle, 0.0f);
                     for_each_repeat(attrs, dx.shape(), rows.outer_rank, r, [&](std::int64_t padded) {
                       const float* from = dy.data<float>().data() + padded * row;
                       for (std::int64_t i = 0; i < left; i += inner) add(to, from + i, inner);
                       add(to, from + left, middle);
                       for (std::int64_t i = left + middle; i < row; i += inner)
                         add(to + middle - inner, from + i, inner);
                     });
                   }
                 });
  }
};

}  // namespace

std::vector<const RowInfo*> pad_rows() { return {&row_of<Pad>()}; }

Tensor ops::pad(const Tensor& x, const PadAttrs& attrs) { return dispatch(row_of<Pad>(), attrs, {x})[0]; }

}  // namespace gesso
