#include "ops/copy_rows.h"

#include <algorithm>
#include <cstring>

namespace gesso {
namespace {

constexpr std::int64_t kPiece = 1 << 16;  // bytes a chunk

// Where a walk over the rows of a grid stands.
class Walk {
 public:
  Walk(const CopyGrid& grid, std::int64_t row) : grid_(grid) {
    for (int d = grid.dims.rank() - 1; d >= 0; --d) {
      const auto i = static_cast<std::size_t>(d);
      at_[i] = row % grid.dims[d];
      row /= grid.dims[d];
      from += at_[i] * grid.from_steps[i];
      to += at_[i] * grid.to_steps[i];
    }
  }
  // Rows up to the end of the innermost dimension.
  std::int64_t left() const {
    const int last = grid_.dims.rank() - 1;
    return last < 0 ? 1 : grid_.dims[last] - at_[static_cast<std::size_t>(last)];
  }
  // By so many rows, left() at most.
  void advance(std::int64_t rows) {
    for (int d = grid_.dims.rank() - 1; d >= 0; --d) {
      const auto i = static_cast<std::size_t>(d);
      at_[i] += rows;
      from += rows * grid_.from_steps[i];
      to += rows * grid_.to_steps[i];
      if (at_[i] < grid_.dims[d]) return;
      from -= at_[i] * grid_.from_steps[i];
      to -= at_[i] * grid_.to_steps[i];
      at_[i] = 0;
      rows = 1;
    }
  }

  std::int64_t from = 0, to = 0;  // bytes from the grid's beginning

 private:
  const CopyGrid& grid_;
  ByteSteps at_{};
};

// Whole rows [begin, end).
template <class Bytes>
void copy_run(const CopyGrid& copy, std::int64_t begin, std::int64_t end, Bytes bytes) {
  const auto last = static_cast<std::size_t>(std::max(copy.dims.rank() - 1, 0));
  const std::int64_t from_step = copy.from_steps[last], to_step = copy.to_steps[last];
  Walk walk(copy, begin);
  for (std::int64_t row = begin; row < end;) {
    const std::int64_t rows = std::min(walk.left(), end - row);
    std::byte* to = copy.to + walk.to;
    if (copy.from == nullptr) {
      for (std::int64_t r = 0; r < rows; ++r) std::memset(to + r * to_step, 0, static_cast<std::size_t>(bytes));
    } else {
      const std::byte* from = copy.from + walk.from;
      for (std::int64_t r = 0; r < rows; ++r)
        std::memcpy(to + r * to_step, from + r * from_step, static_cast<std::size_t>(bytes));
    }
    walk.advance(rows);
    row += rows;
  }
}

}  // namespace

ByteSteps dense_steps(const Shape& shape, std::int64_t element) {
  ByteSteps steps{};
  for (int d = shape.rank() - 1; d >= 0; --d) {
    steps[static_cast<std::size_t>(d)] = element;
    element *= shape[d];
  }
  return steps;
}

void copy_grid(const Execution& run, const CopyGrid& copy) {
  const std::int64_t rows = copy.dims.count();
  if (copy.bytes == 0 || rows == 0) return;
  if (copy.bytes <= kPiece)
    return parallel_for(run.pool, rows, kPiece / copy.bytes, [&](std::int64_t begin, std::int64_t end) {
      with_row_size(copy.bytes, [&](auto bytes) { copy_run(copy, begin, end, bytes); });
    });
  const std::int64_t pieces = (copy.bytes + kPiece - 1) / kPiece;
  run.pool.run(rows * pieces, [&](std::int64_t unit, int) {
    const std::int64_t row = unit / pieces, first = unit % pieces * kPiece;
    CopyGrid piece = copy;
    piece.to += first;
    if (piece.from != nullptr) piece.from += first;
    copy_run(piece, row, row + 1, std::min(kPiece, copy.bytes - first));
  });
}

void copy_rows(const Execution& run, const CopyRows& copy) {
  copy_grid(run, {.dims = {copy.rows},
                  .bytes = copy.bytes,
                  .from = copy.from,
                  .from_steps = {copy.from_step},
                  .to = copy.to,
                  .to_steps = {copy.to_step}});
}

}  // namespace gesso
