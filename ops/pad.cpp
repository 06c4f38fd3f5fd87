#include "ops/pad.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // bytes a chunk

// Rows of the padded tensor: its innermost dimensions up to the last one that is padded, as bytes.
struct Rows {
  Rows(const ops::PadAttrs& attrs, const Shape& x, DType dtype) {
    int last = x.rank() - 1;
    while (last > 0 && attrs.before[last] == 0 && attrs.after[last] == 0) --last;
    auto inner = static_cast<std::int64_t>(size_of(dtype));
    for (int d = last + 1; d < x.rank(); ++d) inner *= x[d];
    outer_rank = std::max(last, 0);
    const bool scalar = x.rank() == 0;
    left = scalar ? 0 : attrs.before[last] * inner;
    middle = scalar ? inner : x[last] * inner;
    row = scalar ? inner : left + middle + attrs.after[last] * inner;
    for (int d = 0; d < outer_rank; ++d) count *= x[d] + attrs.before[d] + attrs.after[d];
  }
  int outer_rank = 0;
  std::int64_t left = 0, middle = 0, row = 0, count = 1;
};

// Where row `row` of the padded tensor lies in x, counted in rows; -1: in the padding.
std::int64_t row_of_x(const ops::PadAttrs& attrs, const Shape& x, int outer_rank, std::int64_t row) {
  std::int64_t at = 0, step = 1;
  for (int d = outer_rank - 1; d >= 0; --d) {
    const std::int64_t size = x[d] + attrs.before[d] + attrs.after[d], place = row % size - attrs.before[d];
    if (place < 0 || place >= x[d]) return -1;
    at += place * step;
    step *= x[d];
    row /= size;
  }
  return at;
}

// body(row of the padded tensor, row of x or -1) in chunks.
template <class Body>
void for_each_row(const Execution& run, const ops::PadAttrs& attrs, const Shape& x, const Rows& rows, Body&& body) {
  if (rows.row == 0) return;
  parallel_for(run.pool, rows.count, std::max<std::int64_t>(1, kGrain / rows.row),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t r = begin; r < end; ++r) body(r, row_of_x(attrs, x, rows.outer_rank, r));
               });
}

// Element by element: body(index in the padded tensor, index in x or -1).
template <class Body>
void for_each_element(const ops::PadAttrs& attrs, const Shape& x, const Shape& padded, Body&& body) {
  for (std::int64_t i = 0; i < padded.count(); ++i) body(i, row_of_x(attrs, x, x.rank(), i));
}
std::byte* element(const Tensor& t, std::int64_t i) {
  return t.bytes() + static_cast<std::size_t>(i) * size_of(t.dtype());
}

struct Pad {
  static constexpr std::string_view name = "pad";
  static constexpr std::string_view doc =
      "y = x with before[d] zeros in front of dimension d and after[d] behind it; dx = dy without them";
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
    for (int d = 0; d < x.shape.rank(); ++d) y.shape[d] += attrs.before[d] + attrs.after[d];
    return {y};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const std::size_t bytes = size_of(f.in[0].dtype());
    for_each_element(attrs, f.in[0].shape(), f.out[0].shape(), [&](std::int64_t i, std::int64_t j) {
      if (j >= 0)
        std::memcpy(element(f.out[0], i), element(f.in[0], j), bytes);
      else
        std::memset(element(f.out[0], i), 0, bytes);
    });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    for_each_element(attrs, b.dx[0].shape(), b.dy[0].shape(), [&](std::int64_t i, std::int64_t j) {
      if (j >= 0) b.dx[0].data<T>()[static_cast<std::size_t>(j)] = b.dy[0].data<T>()[static_cast<std::size_t>(i)];
    });
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    const Tensor &x = f.in[0], &y = f.out[0];
    const Rows rows(attrs, x.shape(), x.dtype());
    for_each_row(f.run, attrs, x.shape(), rows, [&](std::int64_t to, std::int64_t from) {
      std::byte* row = y.bytes() + to * rows.row;
      const std::int64_t left = from < 0 ? rows.row : rows.left, middle = from < 0 ? 0 : rows.middle;
      std::memset(row, 0, static_cast<std::size_t>(left));
      if (middle > 0) std::memcpy(row + left, x.bytes() + from * middle, static_cast<std::size_t>(middle));
      std::memset(row + left + middle, 0, static_cast<std::size_t>(rows.row - left - middle));
    });
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Tensor &dy = b.dy[0], &dx = b.dx[0];
    const Rows rows(attrs, dx.shape(), dx.dtype());
    if (rows.middle == 0) return;
    for_each_row(b.run, attrs, dx.shape(), rows, [&](std::int64_t from, std::int64_t to) {
      if (to >= 0)
        std::memcpy(dx.bytes() + to * rows.middle, dy.bytes() + from * rows.row + rows.left,
                    static_cast<std::size_t>(rows.middle));
    });
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
            {"several chunks", {.before = {0, 1, 1, 0}, .after = {0, 1, 1, 0}}, {{{8, 30, 33, 17}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    Attrs attrs;
    Shape x;
    for (int d = static_cast<int>(pick(random, 1, 4)); d > 0; --d) {
      x.push_back(pick(random, 1, 6));
      attrs.before.push_back(pick(random, 0, 3));
      attrs.after.push_back(pick(random, 0, 3));
    }
    return {"random", attrs, {{x}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{.before = {1}, .after = {1}}, {{{3, 4}}}, {"pad: x [3,4] f32 needs 2 numbers", "[1] and [1]"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> pad_rows() { return {&row_of<Pad>()}; }

Tensor ops::pad(const Tensor& x, const PadAttrs& attrs) { return dispatch(row_of<Pad>(), attrs, {x})[0]; }

}  // namespace gesso
