#include "ops/window.h"

#include <algorithm>
#include <cstring>

#include "ops/copy_rows.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 16;  // bytes a chunk

// The whole as rows of bytes: its innermost dimensions up to the last one along which the box is smaller.
struct Rows {
  Rows(const Tensor& box, const Shape& begin, const Tensor& whole)
      : middle(static_cast<std::int64_t>(size_of(box.dtype()))), row(middle) {
    int last = whole.shape().rank() - 1;
    for (; last > 0 && box.dim(last) == whole.dim(last); --last) row *= whole.dim(last);
    middle = row;
    if (last < 0) return;
    left = begin[last] * row;
    middle *= box.dim(last);
    row *= whole.dim(last);
    outer_rank = last;
    for (int d = 0; d < last; ++d) count *= whole.dim(d);
  }
  int outer_rank = 0;
  std::int64_t left = 0, middle, row, count = 1;  // of a row the box has `middle` bytes, after `left` others
};

// Where row `row` of the whole lies in the box, counted in rows; -1: beside it.
std::int64_t row_of_box(const Shape& box, const Shape& begin, const Shape& whole, int outer_rank, std::int64_t row) {
  std::int64_t at = 0, step = 1;
  for (int d = outer_rank - 1; d >= 0; --d) {
    const std::int64_t place = row % whole[d] - begin[d];
    if (place < 0 || place >= box[d]) return -1;
    at += place * step;
    step *= box[d];
    row /= whole[d];
  }
  return at;
}

// body(row of the box, row of the whole, number) for the rows [first, end) of the whole that the box has, in runs along
// the innermost of the outer dimensions.
template <class Body>
void for_each_run_in_box(const Rows& rows, const Shape& box, const Shape& begin, const Shape& whole, std::int64_t first,
                         std::int64_t end, Body&& body) {
  const int last = rows.outer_rank - 1;
  const std::int64_t all = last < 0 ? 1 : whole[last], from = last < 0 ? 0 : begin[last],
                     size = last < 0 ? 1 : box[last];
  for (std::int64_t r = first; r < end;) {
    const std::int64_t start = r - r % all, stop = std::min(start + all, end);
    const std::int64_t low = std::max(r, start + from), high = std::min(stop, start + from + size);
    if (low < high) {
      const std::int64_t at = row_of_box(box, begin, whole, rows.outer_rank, low);
      if (at >= 0) body(at, low, high - low);
    }
    r = stop;
  }
}

// Element by element: body(in the whole, in the box or null).
template <class Body>
void for_each_element(const Tensor& box, const Shape& begin, const Tensor& whole, Body&& body) {
  const auto bytes = static_cast<std::int64_t>(size_of(whole.dtype()));
  for (std::int64_t i = 0; i < whole.count(); ++i) {
    const std::int64_t j = row_of_box(box.shape(), begin, whole.shape(), whole.shape().rank(), i);
    body(whole.bytes() + i * bytes, j < 0 ? nullptr : box.bytes() + j * bytes, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

void take_window(const Execution& run, const Tensor& whole, const Shape& begin, const Tensor& box) {
  const Rows rows(box, begin, whole);
  const auto element = static_cast<std::int64_t>(size_of(whole.dtype()));
  const ByteSteps from_steps = dense_steps(whole.shape(), element);
  const std::byte* from = whole.bytes() + rows.left;
  Shape dims;
  for (int d = 0; d < rows.outer_rank; ++d) {
    dims.push_back(box.dim(d));
    from += begin[d] * from_steps[static_cast<std::size_t>(d)];
  }
  copy_grid(run, {dims, rows.middle, from, from_steps, box.bytes(), dense_steps(box.shape(), element)});
}

void place_window(const Execution& run, const Tensor& box, const Shape& begin, const Tensor& whole) {
  const Rows rows(box, begin, whole);
  if (rows.row == 0) return;
  const std::int64_t each = std::max<std::int64_t>(1, kGrain / rows.row);
  parallel_for(run.pool, rows.count, each, [&](std::int64_t first, std::int64_t end) {
    std::memset(whole.bytes() + first * rows.row, 0, static_cast<std::size_t>((end - first) * rows.row));
    if (rows.middle == 0) return;
    for_each_run_in_box(rows, box.shape(), begin, whole.shape(), first, end,
                        [&](std::int64_t from, std::int64_t to, std::int64_t count) {
                          copy_rows(run, {.rows = count,
                                          .bytes = rows.middle,
                                          .from = box.bytes() + from * rows.middle,
                                          .from_step = rows.middle,
                                          .to = whole.bytes() + to * rows.row + rows.left,
                                          .to_step = rows.row});
                        });
  });
}

void take_window_naively(const Tensor& whole, const Shape& begin, const Tensor& box) {
  for_each_element(box, begin, whole, [](const std::byte* from, std::byte* to, std::size_t bytes) {
    if (to != nullptr) std::memcpy(to, from, bytes);
  });
}

void place_window_naively(const Tensor& box, const Shape& begin, const Tensor& whole) {
  for_each_element(box, begin, whole, [](std::byte* to, const std::byte* from, std::size_t bytes) {
    if (from != nullptr)
      std::memcpy(to, from, bytes);
    else
      std::memset(to, 0, bytes);
  });
}

}  // namespace gesso
