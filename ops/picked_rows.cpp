#include "ops/picked_rows.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ops/broadcast.h"
#include "ops/copy_rows.h"
#include "ops/index.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

// The picks of each row, ascending: of row k, order[begins[k]] to order[begins[k + 1] - 1] (a counting sort).
struct PicksByRow {
  PicksByRow(const Execution& run, std::span<const std::int32_t> index, std::int64_t rows)
      : begins_tensor(run.scratch({{rows + 1}, DType::i64})),
        order_tensor(run.scratch({{std::ssize(index)}, DType::i64})) {
    const std::span<std::int64_t> begin = begins_tensor.data<std::int64_t>();
    const std::span<std::int64_t> sorted = order_tensor.data<std::int64_t>();
    begins = begin.data();
    order = sorted.data();
    if (!run.computes()) return;
    std::ranges::fill(begin, 0);
    for (const std::int32_t k : index) ++begin[static_cast<std::size_t>(k) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    for (std::size_t j = 0; j < index.size(); ++j)
      sorted[static_cast<std::size_t>(begin[static_cast<std::size_t>(index[j])]++)] = static_cast<std::int64_t>(j);
    // Each begin has moved to the next row's; back by one row.
    std::shift_right(begin.begin(), begin.end(), 1);
    begin[0] = 0;
  }
  Tensor begins_tensor, order_tensor;
  const std::int64_t *begins, *order;
};

// y[i] = x[index[i]] for rows of `bytes`.
template <class Bytes>
void take_run(const std::byte* x, const std::int32_t* index, std::int64_t count, Bytes bytes, std::byte* y) {
  for (std::int64_t i = 0; i < count; ++i)
    std::memcpy(y + i * bytes, x + index[i] * std::int64_t{bytes}, static_cast<std::size_t>(bytes));
}

// sum += x, element by element.
struct AddRow {
  BinaryKernel kernel;

  void operator()(std::int64_t n, const float* x, float* sum) const {
    constexpr std::int64_t kWorthACall = 16;
    if (n >= kWorthACall) return kernel(1, n, {sum, 0, 1}, {x, 0, 1}, sum);
    for (std::int64_t i = 0; i < n; ++i) sum[i] += x[i];
  }
};

// Rows that are picked lie anywhere: ask for the next one while this one is summed.
void fetch(std::int64_t n, const float* x) {
  for (std::int64_t i = 0; i < n; i += 16) __builtin_prefetch(x + i);
}

// Where there are many outer slices, each is one thread's.
void add_by_slice(const Execution& run, const PickedRows& size, const float* x, const std::int32_t* index, float* y) {
  const AddRow add{broadcast_kernels(run.isa).add};
  const std::int64_t x_slice = size.picks * size.inner, y_slice = size.rows * size.inner;
  const std::int64_t each = std::max<std::int64_t>(1, kGrain / (x_slice + y_slice));
  parallel_for(run.pool, size.outer, each, [&](std::int64_t begin, std::int64_t end) {
    std::fill(y + begin * y_slice, y + end * y_slice, 0.0f);
    for (std::int64_t o = begin; o < end; ++o) {
      const float* from = x + o * x_slice;
      float* sums = y + o * y_slice;
      if (size.inner == 1)
        for (std::int64_t j = 0; j < size.picks; ++j) sums[index[j]] += from[j];
      else
        for (std::int64_t j = 0; j < size.picks; ++j)
          add(size.inner, from + j * size.inner, sums + index[j] * size.inner);
    }
  });
}

// Else each row of y, or each piece of a long one.
void add_by_row(const Execution& run, const PickedRows& size, const float* x, std::span<const std::int32_t> index,
                float* y) {
  constexpr std::int64_t kColumns = 1 << 12;
  const PicksByRow picks(run, index, size.rows);
  const AddRow add{broadcast_kernels(run.isa).add};
  const std::int64_t pieces = (size.inner + kColumns - 1) / kColumns;
  // Elements that a piece is likely to read and write.
  const std::int64_t likely = std::min(size.inner, kColumns) * (1 + size.picks / size.rows);
  const std::int64_t each = std::max<std::int64_t>(1, kGrain / likely);
  parallel_for(run.pool, size.outer * size.rows * pieces, each, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t row = unit / pieces, k = row % size.rows, first = unit % pieces * kColumns;
      const std::int64_t columns = std::min(kColumns, size.inner - first);
      const float* from = x + row / size.rows * size.picks * size.inner + first;
      float* sum = y + row * size.inner + first;
      std::fill_n(sum, columns, 0.0f);
      for (std::int64_t i = picks.begins[k]; i < picks.begins[k + 1]; ++i) {
        if (i + 1 < picks.begins[k + 1]) fetch(columns, from + picks.order[i + 1] * size.inner);
        add(columns, from + picks.order[i] * size.inner, sum);
      }
    }
  });
}

}  // namespace

PickedRows picked_rows(const Shape& with_rows, int axis, const Shape& index) {
  PickedRows size{.outer = 1, .rows = with_rows[axis], .picks = index.count(), .inner = 1};
  for (int d = 0; d < axis; ++d) size.outer *= with_rows[d];
  for (int d = axis + 1; d < with_rows.rank(); ++d) size.inner *= with_rows[d];
  return size;
}

void take_rows(const Execution& run, std::string_view op, const PickedRows& size, const Tensor& x, const Tensor& index,
               const Tensor& y) {
  if (run.computes()) check_index_range(op, index, size.rows);
  const std::int64_t row = size.inner * static_cast<std::int64_t>(size_of(x.dtype()));
  if (row == 0) return;
  const std::int32_t* picks = index.data<std::int32_t>().data();
  const std::int64_t each = std::max<std::int64_t>(1, 4 * kGrain / row);
  parallel_for(run.pool, size.outer * size.picks, each, [&](std::int64_t begin, std::int64_t end) {
    with_row_size(row, [&](auto bytes) {
      for (std::int64_t i = begin; i < end;) {
        const std::int64_t o = i / size.picks, j = i % size.picks, count = std::min(size.picks - j, end - i);
        take_run(x.bytes() + o * size.rows * row, picks + j, count, bytes, y.bytes() + i * row);
        i += count;
      }
    });
  });
}

void scatter_add_rows(const Execution& run, std::string_view op, const PickedRows& size, const Tensor& x,
                      const Tensor& index, const Tensor& y) {
  constexpr std::int64_t kManySlices = 16;
  if (run.computes()) check_index_range(op, index, size.rows);
  if (y.count() == 0) return;
  const std::span<const std::int32_t> picks = index.data<std::int32_t>();
  if (size.outer >= kManySlices)
    add_by_slice(run, size, x.data<float>().data(), picks.data(), y.data<float>().data());
  else
    add_by_row(run, size, x.data<float>().data(), picks, y.data<float>().data());
}

}  // namespace gesso
