#include "ops/permute.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ops/copy_rows.h"
#include "ops/describe.h"
#include "ops/gemm.h"

namespace gesso {
namespace {

using Order = ops::PermuteAttrs;

std::string text_of(const Order& order) {
  return fmt::format("[{}]", fmt::join(order.axes.begin(), order.axes.begin() + order.rank, ","));
}

Shape permuted(const Shape& x, const Order& order) {
  Shape y;
  for (int d = 0; d < order.rank; ++d) y.push_back(x[order[d]]);
  return y;
}

// The move with fewest dimensions: those of size 1 are left out, and neighbours that stay neighbours are one. Sizes as
// in y; steps in bytes.
struct Move {
  Shape dims;
  ByteSteps x_steps{}, y_steps{};
  std::int64_t element;

  Move(const Shape& x, const Order& order, std::int64_t element_bytes) : element(element_bytes) {
    const ByteSteps all = dense_steps(x, element);
    for (int d = 0; d < order.rank; ++d) {
      const std::int64_t size = x[order[d]], step = all[static_cast<std::size_t>(order[d])];
      if (size == 1) continue;
      const int last = dims.rank() - 1;
      if (last >= 0 && x_steps[static_cast<std::size_t>(last)] == size * step) {
        dims[last] *= size;
        x_steps[static_cast<std::size_t>(last)] = step;
      } else {
        x_steps[static_cast<std::size_t>(dims.rank())] = step;
        dims.push_back(size);
      }
    }
    y_steps = dense_steps(dims, element);
  }
  bool innermost_stays() const { return dims.empty() || x_steps[static_cast<std::size_t>(dims.rank() - 1)] == element; }
};

// Where the innermost axis stays, rows are copied.
void copy_whole_rows(const Execution& run, const Move& move, const std::byte* x, std::byte* y) {
  CopyGrid copy{{}, move.element, x, move.x_steps, y, move.y_steps};
  for (int d = 0; d + 1 < move.dims.rank(); ++d) copy.dims.push_back(move.dims[d]);
  if (!move.dims.empty()) copy.bytes *= move.dims.back();
  copy_grid(run, copy);
}

// A matrix whose rows are to become columns, in bytes from one row to the next.
struct Transposition {
  std::int64_t rows, columns, from_step, to_step;
};

template <class T>
void transpose_elements(const Transposition& t, const std::byte* from, std::byte* to) {
  for (std::int64_t i = 0; i < t.rows; ++i)
    for (std::int64_t j = 0; j < t.columns; ++j)
      std::memcpy(to + j * t.to_step + i * std::int64_t{sizeof(T)},
                  from + i * t.from_step + j * std::int64_t{sizeof(T)}, sizeof(T));
}
void transpose(Isa isa, std::int64_t element, const Transposition& t, const std::byte* from, std::byte* to) {
  if (element == 4)  // no arithmetic is done, so any four bytes may pass for a float
    return gemm::kernels(isa).transpose(t.rows, t.columns, reinterpret_cast<const float*>(from), t.from_step / 4,
                                        reinterpret_cast<float*>(to), t.to_step / 4);
  if (element == 1) return transpose_elements<std::uint8_t>(t, from, to);
  if (element == 2) return transpose_elements<std::uint16_t>(t, from, to);
  transpose_elements<std::uint64_t>(t, from, to);
}

// Where another axis becomes the innermost one: matrices whose rows run along x's innermost axis and whose columns run
// along y's, in tiles that fit in L1 on both sides.
class Transpose {
 public:
  Transpose(const Move& move, const std::byte* x, std::byte* y) : move_(move), x_(x), y_(y) {
    const int inner = move.dims.rank() - 1;
    for (int d = 0; d < inner; ++d) {
      const auto i = static_cast<std::size_t>(d);
      if (move.x_steps[i] == move.element) {
        matrix_ = {move.dims[inner], move.dims[d], move.x_steps[static_cast<std::size_t>(inner)], move.y_steps[i]};
        continue;
      }
      x_steps_[static_cast<std::size_t>(outer_.rank())] = move.x_steps[i];
      y_steps_[static_cast<std::size_t>(outer_.rank())] = move.y_steps[i];
      outer_.push_back(move.dims[d]);
    }
    by_rows_ = matrix_.from_step > matrix_.to_step;
    tile_columns_ = std::min(matrix_.columns, by_rows_ ? kLong : kShort);
    tile_rows_ = std::min(matrix_.rows, kLong * kShort / tile_columns_);
    tile_columns_ = std::min(matrix_.columns, kLong * kShort / tile_rows_);
    row_tiles_ = (matrix_.rows + tile_rows_ - 1) / tile_rows_;
    column_tiles_ = (matrix_.columns + tile_columns_ - 1) / tile_columns_;
  }

  void run(const Execution& run) const {
    constexpr std::int64_t kTilesEach = 8;
    parallel_for(run.pool, outer_.count() * row_tiles_ * column_tiles_, kTilesEach,
                 [&](std::int64_t begin, std::int64_t end) {
                   alignas(64) std::array<std::byte, kLong * kShort * 8> buffer;
                   for (std::int64_t tile = begin; tile < end; ++tile) one(run.isa, tile, buffer.data());
                 });
  }

 private:
  // A tile of floats is 16 KiB. It is long on the side where rows lie far apart, which goes easy on address
  // translation; the tiles that share cache lines on the other side follow each other, so that L2 still has them. 4096
  // x 128 floats: twice as fast as tiles of 64 x 64 on a busy machine.
  static constexpr std::int64_t kLong = 256, kShort = 16;

  // Through a buffer where rows of the result lie apart: they may lie in the same sets of L1, and in the buffer each
  // cache line of the result is written at once.
  void one(Isa isa, std::int64_t tile, std::byte* buffer) const {
    const std::int64_t tiles = row_tiles_ * column_tiles_, here = tile % tiles;
    const std::int64_t row = (by_rows_ ? here % row_tiles_ : here / column_tiles_) * tile_rows_;
    const std::int64_t column = (by_rows_ ? here / row_tiles_ : here % column_tiles_) * tile_columns_;
    const std::byte* from = x_ + row * matrix_.from_step + column * move_.element;
    std::byte* to = y_ + column * matrix_.to_step + row * move_.element;
    std::int64_t at = tile / tiles;
    for (int d = outer_.rank() - 1; d >= 0; --d) {
      from += at % outer_[d] * x_steps_[static_cast<std::size_t>(d)];
      to += at % outer_[d] * y_steps_[static_cast<std::size_t>(d)];
      at /= outer_[d];
    }
    Transposition part{std::min(tile_rows_, matrix_.rows - row), std::min(tile_columns_, matrix_.columns - column),
                       matrix_.from_step, matrix_.to_step};
    const std::int64_t bytes = part.rows * move_.element;
    if (bytes < 64 || part.columns <= 8 || bytes == part.to_step) return transpose(isa, move_.element, part, from, to);
    part.to_step = bytes;
    transpose(isa, move_.element, part, from, buffer);
    for (std::int64_t i = 0; i < part.columns; ++i)
      std::memcpy(to + i * matrix_.to_step, buffer + i * bytes, static_cast<std::size_t>(bytes));
  }

  const Move& move_;
  const std::byte* x_;
  std::byte* y_;
  Transposition matrix_{};
  Shape outer_;
  ByteSteps x_steps_{}, y_steps_{};
  bool by_rows_;  // the next tile is that of the next rows
  std::int64_t tile_rows_, tile_columns_, row_tiles_, column_tiles_;
};

void permute(const Execution& run, const Order& order, const Tensor& x, const Tensor& y) {
  if (x.count() == 0) return;
  const Move move(x.shape(), order, static_cast<std::int64_t>(size_of(x.dtype())));
  if (move.innermost_stays())
    copy_whole_rows(run, move, x.bytes(), y.bytes());
  else
    Transpose(move, x.bytes(), y.bytes()).run(run);
}

void permute_naively(const Order& order, const Tensor& x, const Tensor& y) {
  const auto element = static_cast<std::int64_t>(size_of(x.dtype()));
  const ByteSteps steps = dense_steps(x.shape(), element);
  for (std::int64_t i = 0; i < y.count(); ++i) {
    std::int64_t rest = i, from = 0;
    for (int d = order.rank - 1; d >= 0; --d) {
      from += rest % y.dim(d) * steps[static_cast<std::size_t>(order[d])];
      rest /= y.dim(d);
    }
    std::memcpy(y.bytes() + i * element, x.bytes() + from, static_cast<std::size_t>(element));
  }
}

[[noreturn]] void fail_order(const std::string& order, const Spec& x) {
  fail("permute: order {} must name each of the {} axes of x {} once", order, x.shape.rank(), x.text());
}

struct Permute {
  static constexpr std::string_view name = "permute";
  static constexpr std::string_view doc =
      "y[i_order[0],i_order[1],...] = x[i_0,i_1,...]: axis d of y is axis order[d] of x; dx = dy in the inverse order";
  using Attrs = Order;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& order, std::span<const Spec> in) {
    std::uint32_t named = 0;
    for (int d = 0; d < order.rank; ++d)
      if (order[d] >= 0 && order[d] < Shape::kMaxRank) named |= 1u << order[d];
    if (order.rank != in[0].shape.rank() || named != (1u << order.rank) - 1) fail_order(text_of(order), in[0]);
    return {{permuted(in[0].shape, order), in[0].dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& order, const Forward& f) {
    permute_naively(order, f.in[0], f.out[0]);
  }
  template <class T>
  static void reference_backward(const Attrs& order, const Backward& b) {
    permute_naively(order.inverse(), b.dy[0], b.dx[0]);
  }
  static void cpu(const Attrs& order, const Forward& f) { permute(f.run, order, f.in[0], f.out[0]); }
  static void cpu_backward(const Attrs& order, const Backward& b) { permute(b.run, order.inverse(), b.dy[0], b.dx[0]); }

  static std::vector<Case<Attrs>> samples() {
    return {{"matrix", {2, {1, 0}}, {{{5, 7}}}},
            {"to channels first", {4, {0, 3, 1, 2}}, {{{2, 3, 5, 3}}}},
            {"to channels last", {4, {0, 2, 3, 1}}, {{{2, 3, 5, 4}}}},
            {"heads", {4, {0, 2, 1, 3}}, {{{2, 5, 3, 4}}}},
            {"reversed", {6, {5, 4, 3, 2, 1, 0}}, {{{2, 3, 2, 4, 2, 3}}}},
            {"six dimensions, innermost stays", {6, {3, 1, 4, 0, 2, 5}}, {{{2, 3, 2, 3, 2, 3}}}},
            {"innermost moves between others", {4, {1, 3, 0, 2}}, {{{3, 4, 2, 5}}}},
            {"as it is", {3, {0, 1, 2}}, {{{2, 3, 4}}}},
            {"vector", {1, {0}}, {{{5}}}},
            {"scalar", {}, {{{}}}},
            {"sizes of one", {4, {2, 3, 0, 1}}, {{{1, 4, 1, 3}}}},
            {"nothing", {2, {1, 0}}, {{{0, 3}}}},
            {"whole numbers", {2, {1, 0}}, {{{9, 6}, Domain::index, 100}}},
            {"counters", {2, {1, 0}}, {{{70, 66}, Domain::counter, 100}}},
            {"bytes", {3, {2, 0, 1}}, {{{2, 70, 65}, Domain::byte}}},
            {"bf16", {2, {1, 0}}, {{{7, 70}, Domain::small_integer, 0, DType::bf16}}},
            {"a few tiles", {3, {0, 2, 1}}, {{{2, 37, 70}}}},
            {"a row more than a tile", {2, {1, 0}}, {{{33, 17}}}},
            {"a few tiles of bf16", {2, {1, 0}}, {{{40, 35}, Domain::small_integer, 0, DType::bf16}}},
            {"several tiles", {3, {0, 2, 1}}, {{{2, 133, 259}}}},
            {"few columns, many rows", {2, {1, 0}}, {{{5003, 3}}}},
            {"few rows, many columns", {2, {1, 0}}, {{{3, 5003}}}},
            {"several chunks of rows", {3, {1, 0, 2}}, {{{70, 30, 17}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N16 64x64x128 to channels first", {4, {0, 3, 1, 2}}, {{{16, 64, 64, 128}}}},
            {"N16 256x256x3 to channels first", {4, {0, 3, 1, 2}}, {{{16, 256, 256, 3}}}},
            {"2048x2048 transposed", {2, {1, 0}}, {{{2048, 2048}}}},
            {"N16 T256 8 heads of 64", {4, {0, 2, 1, 3}}, {{{16, 256, 8, 64}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    Order order{.rank = static_cast<int>(pick(random, 1, Shape::kMaxRank))};
    Shape x;
    for (int d = 0; d < order.rank; ++d) {
      x.push_back(pick(random, 1, order.rank < 4 ? 40 : 5));
      order.axes[static_cast<std::size_t>(d)] = static_cast<std::int8_t>(d);
      std::swap(order.axes[static_cast<std::size_t>(d)], order.axes[static_cast<std::size_t>(pick(random, 0, d))]);
    }
    return {"random", order, {{x}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{2, {1, 0}}, {{{2, 3, 4}}}, {"permute: order [1,0]", "each of the 3 axes", "[2,3,4] f32"}},
            {{2, {1, 1}}, {{{2, 3}}}, {"order [1,1]", "each of the 2 axes of x [2,3] f32 once"}},
            {{2, {0, 2}}, {{{2, 3}}}, {"order [0,2]"}},
            {{2, {-1, 0}}, {{{2, 3}}}, {"order [-1,0]"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> permute_rows() { return {&row_of<Permute>()}; }

Tensor ops::permute(const Tensor& x, std::initializer_list<int> order) {
  if (std::ssize(order) > Shape::kMaxRank)
    fail("permute: {} axes were given, but a tensor has at most {}", order.size(), Shape::kMaxRank);
  if (std::ranges::any_of(order, [](int axis) { return axis < 0 || axis >= Shape::kMaxRank; }))
    fail_order(fmt::format("[{}]", fmt::join(order, ",")), x.spec());
  Order attrs{.rank = static_cast<int>(order.size())};
  std::ranges::transform(order, attrs.axes.begin(), [](int axis) { return static_cast<std::int8_t>(axis); });
  return dispatch(row_of<Permute>(), attrs, {x})[0];
}

}  // namespace gesso
