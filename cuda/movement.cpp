#include "cuda/movement.h"

#include <algorithm>
#include <span>
#include <vector>

#include "cuda/entry.h"
#include "cuda/unit.h"
#include "ops/broadcast.h"
#include "ops/concat.h"
#include "ops/pad.h"
#include "ops/permute.h"
#include "ops/slice.h"

namespace gesso::cuda {
namespace {

TableByDevice<MovementKernels> tables;

// In bytes; 0 along dimensions of one.
Steps byte_steps(const Shape& shape, std::int64_t element) {
  Steps steps = steps_of(shape, shape);
  for (std::int64_t& step : steps) step *= element;
  return steps;
}
std::int64_t element_bytes(const Tensor& t) { return static_cast<std::int64_t>(size_of(t.dtype())); }

// A dimension of what is written; steps in bytes.
struct Dimension {
  std::int64_t size = 1, from_size = 1, offset = 0, from_step = 0, to_step = 0;

  bool whole() const { return offset == 0 && size == from_size; }
};

// A copy with as few dimensions as can be: the innermost counts bytes, neighbours on both sides are one.
struct Copy {
  // dims: outermost first.
  Copy(std::span<const Dimension> dims, std::int64_t element, bool repeat)
      : row{element, element, 0, 1, 1}, repeat_edge(repeat) {
    for (auto dim = dims.rbegin(); dim != dims.rend(); ++dim) {
      empty = empty || dim->size == 0;
      nothing_to_read = nothing_to_read || dim->from_size == 0;
      if (dim->size == 1 && dim->whole()) continue;
      Dimension& inner = outer.empty() ? row : outer.back();
      const bool joins = inner.whole() && dim->from_step == inner.size * inner.from_step &&
                         dim->to_step == inner.size * inner.to_step && (!repeat || dim->whole());
      if (!joins)
        outer.push_back(*dim);
      else
        inner = {inner.size * dim->size, inner.size * dim->from_size, inner.size * dim->offset, inner.from_step,
                 inner.to_step};
    }
  }
  Dimension row;
  std::vector<Dimension> outer;  // innermost first
  bool repeat_edge, empty = false, nothing_to_read = false;
};

// The product of sizes that kernels count in 31 bits.
template <class Size>
std::int64_t counted(const Execution& run, const std::vector<Dimension>& dims, Size&& size) {
  std::int64_t all = 1;
  for (const Dimension& dim : dims)
    if (__builtin_mul_overflow(all, size(dim), &all) || all >= std::int64_t{1} << 31)
      fail("{} moves fewer than 2^31 rows of neighbours at once, but these are more; use a smaller train.batch",
           run.device.name());
  return all;
}
MoveDimension dimension(const Dimension& dim, std::int64_t unit) {
  return {Divisor(dim.size), dim.offset, dim.from_size, dim.from_step / unit, dim.to_step / unit};
}

void move_rows(const Execution& run, const Copy& copy, const void* from, void* to) {
  if (copy.empty) return;
  constexpr int kMostLanes = 256;
  MoveRows move{.rank = static_cast<int>(copy.outer.size()), .repeat_edge = copy.repeat_edge};
  move.rows = counted(run, copy.outer, [](const Dimension& dim) { return dim.size; });
  move.from = copy.nothing_to_read ? nullptr : from;
  move.to = to;
  int unit = widest_unit(copy.row.size, copy.row.from_size, copy.row.offset, address_of(move.from), address_of(to));
  for (const Dimension& dim : copy.outer) unit = widest_unit(unit, dim.from_step, dim.to_step);
  for (std::size_t d = 0; d < copy.outer.size(); ++d) move.dim[d] = dimension(copy.outer[d], unit);
  move.unit = unit;
  move.width = copy.row.size / unit;
  move.offset = copy.row.offset / unit;
  move.from_width = copy.row.from_size / unit;
  move.lanes = lanes_of(move.width, kMostLanes);
  tables.of(run).rows(stream_of(run), move);
}

// Dimensions of one rank from x to y, both dense.
void move_box(const Execution& run, const Tensor& x, const Tensor& y, const Shape& offset, int sign, bool repeat_edge) {
  const Steps from = byte_steps(x.shape(), element_bytes(x)), to = byte_steps(y.shape(), element_bytes(x));
  std::vector<Dimension> dims;
  for (int d = 0; d < y.shape().rank(); ++d) {
    const auto i = static_cast<std::size_t>(d);
    dims.push_back({y.dim(d), x.dim(d), sign * offset[d], from[i], to[i]});
  }
  move_rows(run, {dims, element_bytes(x), repeat_edge}, x.bytes(), y.bytes());
}

// Where another axis becomes the innermost one and both are long: matrices.
bool is_transposed(const Copy& copy, std::int64_t element) {
  constexpr std::int64_t kLong = 16;
  if (copy.row.size != element || copy.outer.empty() || copy.outer[0].size < kLong) return false;
  return std::ranges::any_of(copy.outer,
                             [=](const Dimension& dim) { return dim.from_step == element && dim.size >= kLong; });
}

void transpose(const Execution& run, const Copy& copy, std::int64_t element, const void* from, void* to) {
  const Dimension& rows = copy.outer[0];
  MoveTransposed move{.matrices = 1, .rows = rows.size, .from_step = rows.from_step / element, .rank = 0};
  constexpr std::int64_t kTile = 32;
  counted(run, copy.outer, [&](const Dimension& dim) {
    const bool of_matrix = &dim == &rows || dim.from_step == element;
    return of_matrix ? (dim.size + kTile - 1) / kTile : dim.size;
  });
  for (std::size_t d = 1; d < copy.outer.size(); ++d) {
    const Dimension& dim = copy.outer[d];
    if (dim.from_step == element) {
      move.columns = dim.size;
      move.to_step = dim.to_step / element;
    } else {
      move.matrices *= dim.size;
      move.dim[move.rank++] = dimension(dim, element);
    }
  }
  move.element = static_cast<int>(element);
  move.from = from;
  move.to = to;
  tables.of(run).transposed(stream_of(run), move);
}

void permute(const Execution& run, const ops::PermuteAttrs& order, const Tensor& x, const Tensor& y) {
  const std::int64_t element = element_bytes(x);
  const Steps from = byte_steps(x.shape(), element), to = byte_steps(y.shape(), element);
  std::vector<Dimension> dims;
  for (int d = 0; d < order.rank; ++d)
    dims.push_back({y.dim(d), y.dim(d), 0, from[static_cast<std::size_t>(order[d])], to[static_cast<std::size_t>(d)]});
  const Copy copy(dims, element, false);
  if (!copy.empty && is_transposed(copy, element))
    transpose(run, copy, element, x.bytes(), y.bytes());
  else
    move_rows(run, copy, x.bytes(), y.bytes());
}

constexpr Kernels kPermute = {
    [](const Attributes& attrs, const Forward& f) { permute(f.run, attrs.as<ops::PermuteAttrs>(), f.in[0], f.out[0]); },
    [](const Attributes& attrs, const Backward& b) {
      permute(b.run, attrs.as<ops::PermuteAttrs>().inverse(), b.dy[0], b.dx[0]);
    }};

constexpr ops::PermuteAttrs kOihwToOhwi = {4, {0, 2, 3, 1}}, kOhwiToOihw = {4, {0, 3, 1, 2}};
template <const ops::PermuteAttrs& order, const ops::PermuteAttrs& inverse>
constexpr Kernels kWeightLayout = {
    [](const Attributes&, const Forward& f) { permute(f.run, order, f.in[0], f.out[0]); },
    [](const Attributes&, const Backward& b) { permute(b.run, inverse, b.dy[0], b.dx[0]); }};

constexpr Kernels kSlice = {[](const Attributes& attrs, const Forward& f) {
                              move_box(f.run, f.in[0], f.out[0], attrs.as<ops::SliceAttrs>().begin, 1, false);
                            },
                            [](const Attributes& attrs, const Backward& b) {
                              move_box(b.run, b.dy[0], b.dx[0], attrs.as<ops::SliceAttrs>().begin, -1, false);
                            }};

void pad(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::PadAttrs>();
  move_box(f.run, f.in[0], f.out[0], attrs.before, -1, attrs.mode == ops::PadMode::edge);
}
void pad_backward(const Attributes& attributes, const Backward& b) {
  const auto attrs = attributes.as<ops::PadAttrs>();
  const Tensor &dy = b.dy[0], &dx = b.dx[0];
  if (attrs.mode == ops::PadMode::zero) return move_box(b.run, dy, dx, attrs.before, 1, false);
  if (dx.count() == 0) return;
  AddRepeats add{.rank = dx.shape().rank(), .dy = pointer<float>(dy), .dx = pointer<float>(dx)};
  const Steps steps = steps_of(dy.shape(), dy.shape());
  std::vector<Dimension> dims;
  for (int d = add.rank - 1; d >= 0; --d) {
    dims.push_back({.size = dx.dim(d)});
    add.dim[add.rank - 1 - d] = {Divisor(dx.dim(d)), attrs.before[d], dy.dim(d), steps[static_cast<std::size_t>(d)]};
  }
  add.count = counted(b.run, dims, [](const Dimension& dim) { return dim.size; });
  tables.of(b.run).add_repeats(stream_of(b.run), add);
}

// The whole as rows; each part gives every row a piece.
struct WholeRows {
  WholeRows(const ops::PartsAttrs& parts, const Tensor& whole) : inner(element_bytes(whole)) {
    for (int d = 0; d < parts.axis; ++d) rows *= whole.dim(d);
    for (int d = parts.axis + 1; d < whole.shape().rank(); ++d) inner *= whole.dim(d);
    row = whole.dim(parts.axis) * inner;
  }
  std::int64_t rows = 1, inner, row = 0;  // inner, row: bytes
};
// The parts, or zeros where one is missing, into their places in `whole`.
void join(const Execution& run, const ops::PartsAttrs& parts, std::span<const Tensor> from, const Tensor& whole) {
  const WholeRows all(parts, whole);
  std::byte* to = whole.bytes();
  for (std::size_t i = 0; i < parts.count(); ++i) {
    const std::int64_t bytes = parts.sizes[i] * all.inner;
    const Dimension dims[] = {{all.rows, all.rows, 0, bytes, all.row}, {bytes, bytes, 0, 1, 1}};
    move_rows(run, {dims, 1, false}, from[i] ? from[i].bytes() : nullptr, to);
    to += bytes;
  }
}
// Their places in `whole` into the parts that are wanted.
void cut(const Execution& run, const ops::PartsAttrs& parts, const Tensor& whole, std::span<const Tensor> to) {
  const WholeRows all(parts, whole);
  const std::byte* from = whole.bytes();
  for (std::size_t i = 0; i < parts.count(); ++i) {
    const std::int64_t bytes = parts.sizes[i] * all.inner;
    const Dimension dims[] = {{all.rows, all.rows, 0, all.row, bytes}, {bytes, bytes, 0, 1, 1}};
    if (to[i]) move_rows(run, {dims, 1, false}, from, to[i].bytes());
    from += bytes;
  }
}

constexpr Kernels kConcat = {
    [](const Attributes& attrs, const Forward& f) { join(f.run, attrs.as<ops::PartsAttrs>(), f.in, f.out[0]); },
    [](const Attributes& attrs, const Backward& b) { cut(b.run, attrs.as<ops::PartsAttrs>(), b.dy[0], b.dx); }};
constexpr Kernels kSplit = {
    [](const Attributes& attrs, const Forward& f) { cut(f.run, attrs.as<ops::PartsAttrs>(), f.in[0], f.out); },
    [](const Attributes& attrs, const Backward& b) { join(b.run, attrs.as<ops::PartsAttrs>(), b.dy, b.dx[0]); }};

}  // namespace

void register_movement(DeviceKind device, const MovementKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "permute", kPermute);
  register_kernels(device, "oihw_to_ohwi", kWeightLayout<kOihwToOhwi, kOhwiToOihw>);
  register_kernels(device, "ohwi_to_oihw", kWeightLayout<kOhwiToOihw, kOihwToOhwi>);
  register_kernels(device, "slice", kSlice);
  register_kernels(device, "pad", {pad, pad_backward});
  register_kernels(device, "concat", kConcat);
  register_kernels(device, "split", kSplit);
}

}  // namespace gesso::cuda
