#include "ops/gather.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/axis.h"
#include "ops/describe.h"
#include "ops/index.h"
#include "ops/picked_rows.h"

namespace gesso {
namespace {

// The shape with the rows from the shape with the picks, or the other way round: `out` axes from `axis` on give way.
Shape replaced(const Shape& shape, int axis, int out, const Shape& by) {
  Shape result;
  for (int d = 0; d < axis; ++d) result.push_back(shape[d]);
  for (const std::int64_t size : by) result.push_back(size);
  for (int d = axis + out; d < shape.rank(); ++d) result.push_back(shape[d]);
  return result;
}

void check_index(std::string_view op, const Spec& index, int rank_after) {
  if (index.dtype != DType::i32) fail("{}: index must be i32, but is {}", op, index.text());
  if (rank_after > Shape::kMaxRank)
    fail("{}: with index {} the result has {} dimensions, but {} are the most; reshape first", op, index.text(),
         rank_after, Shape::kMaxRank);
}

// Cases of both rows: the side with the rows, and the indices.
struct Picks {
  std::string name;
  int axis;
  Shape with_rows, index;
  Domain domain = Domain::normal;
};
std::vector<Picks> picks() {
  return {{"rows of a matrix", 0, {11, 6}, {2, 5}},
          {"columns of a matrix", 1, {6, 11}, {9}},
          {"an axis in the middle", 1, {3, 5, 4}, {7}},
          {"several indices in the middle", 2, {2, 3, 4, 5}, {3, 2}},
          {"from a vector", 0, {9}, {4, 3}},
          {"one index", 1, {4, 5, 3}, {}},
          {"one row", 1, {2, 1, 3}, {9}},
          {"no index", 0, {4, 5}, {0}},
          {"nothing outside", 1, {0, 3, 2}, {4}},
          {"nothing inside", 0, {4, 0}, {3}},
          {"many indices", 0, {300, 3}, {50, 51}},
          {"an index more than a tile", 0, {3}, {1025}},
          {"long rows", 1, {2, 3, 1201}, {4}},
          {"six dimensions", 3, {2, 1, 2, 3, 2}, {2, 3}},
          {"several chunks of rows", 0, {1030, 65}, {9, 333}},
          {"several chunks of single elements", 1, {40, 203}, {1001}},
          {"several chunks of long rows", 1, {2, 3, 9001}, {5}}};
}
Picks random_picks(Random& random) {
  Picks p{"random", 0, {}, {}};
  for (std::int64_t d = pick(random, 1, 4); d > 0; --d) p.with_rows.push_back(pick(random, 1, 9));
  for (std::int64_t d = pick(random, 0, 2); d > 0; --d) p.index.push_back(pick(random, 1, 9));
  p.axis = static_cast<int>(pick(random, 0, p.with_rows.rank() - 1));
  return p;
}
Operand index_operand(const Picks& p) { return {p.index, Domain::index, p.with_rows[p.axis]}; }

struct Gather {
  static constexpr std::string_view name = "gather";
  static constexpr std::string_view doc =
      "y[a...,j...,b...] = x[a...,index[j...],b...], index i32 in [0, size of x's axis): numpy's take, PyTorch's "
      "index_select; dx = scatter_add of dy";
  using Attrs = ops::GatherAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec &x = in[0], &index = in[1];
    check_axis(name, attrs.axis, x);
    check_index(name, index, x.shape.rank() - 1 + index.shape.rank());
    return {{replaced(x.shape, attrs.axis, 1, index.shape), x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  // Elements of x are read as often as they are asked for.
  static double bytes(const Attrs& attrs, std::span<const Spec> in) {
    return static_cast<double>(in[1].bytes() + 2 * infer(attrs, in)[0].bytes());
  }
  // Backward sums up to as many terms as there are indices one after the other, in float.
  static double tolerance(const Attrs&, std::span<const Spec> in) {
    return 1e-7 * std::sqrt(10.0 + static_cast<double>(in[1].shape.count()));
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const PickedRows size = picked_rows(f.in[0].shape(), attrs.axis, f.in[1].shape());
    check_index_range(name, f.in[1], size.rows);
    const auto bytes = static_cast<std::int64_t>(size_of(f.in[0].dtype()));
    for_each_picked(size, f.in[1].data<std::int32_t>(), [&](std::int64_t from, std::int64_t to) {
      std::memcpy(f.out[0].bytes() + to * bytes, f.in[0].bytes() + from * bytes, static_cast<std::size_t>(bytes));
    });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const auto dy = b.dy[0].data<T>(), dx = b.dx[0].data<T>();
    std::ranges::fill(dx, T{0});
    for_each_picked(picked_rows(b.dx[0].shape(), attrs.axis, b.in[1].shape()), b.in[1].data<std::int32_t>(),
                    [&](std::int64_t row, std::int64_t pick) {
                      dx[static_cast<std::size_t>(row)] += dy[static_cast<std::size_t>(pick)];
                    });
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    take_rows(f.run, name, picked_rows(f.in[0].shape(), attrs.axis, f.in[1].shape()), f.in[0], f.in[1], f.out[0]);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    scatter_add_rows(b.run, name, picked_rows(b.dx[0].shape(), attrs.axis, b.in[1].shape()), b.dy[0], b.in[1], b.dx[0]);
  }

  static Case<Attrs> on(const Picks& p) { return {p.name, {p.axis}, {{p.with_rows, p.domain, 100}, index_operand(p)}}; }
  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const Picks& p : picks()) cases.push_back(on(p));
    cases.push_back(on({"whole numbers", 1, {3, 5}, {4}, Domain::index}));
    cases.push_back(on({"bytes", 0, {5, 3}, {4}, Domain::byte}));
    return cases;
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {on({"512x256, 65536 indices", 0, {512, 256}, {65536}}),
            on({"4096x1024, 512 columns", 1, {4096, 1024}, {512}})};
  }
  static Case<Attrs> random_case(Random& random) { return on(random_picks(random)); }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{1}, {{{4}}, {{3}, Domain::index, 4}}, {"gather: x [4] f32 has no axis 1"}},
            {{-1}, {{{4}}, {{3}, Domain::index, 4}}, {"gather: x [4] f32 has no axis -1"}},
            {{0}, {{{4, 5}}, {{3}, Domain::counter, 4}}, {"gather: index must be i32", "[3] i64"}},
            {{0}, {{{4, 5, 6}}, {{1, 1, 1, 1, 1}, Domain::index, 4}}, {"gather", "7 dimensions", "[1,1,1,1,1] i32"}}};
  }
};

struct ScatterAdd {
  static constexpr std::string_view name = "scatter_add";
  static constexpr std::string_view doc =
      "y[a...,k,b...] = the sum of x[a...,j...,b...] over the j with index[j...] = k, in the order of the indices "
      "(index i32 in [0, size)), 0 where there is none; dx = gather of dy";
  using Attrs = ops::ScatterAddAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(1); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec &x = in[0], &index = in[1];
    if (!is_floating(x.dtype)) fail("scatter_add: x must be floating, but is {}", x.text());
    check_index(name, index, x.shape.rank() - index.shape.rank() + 1);
    if (attrs.size < 0) fail("scatter_add: the size of the result's axis cannot be {}", attrs.size);
    const int rank = index.shape.rank();
    const bool fits = attrs.axis >= 0 && attrs.axis + rank <= x.shape.rank() &&
                      std::equal(index.shape.begin(), index.shape.end(), x.shape.begin() + attrs.axis);
    if (!fits)
      fail("scatter_add: x {} must have the dimensions of index {} from axis {} on", x.text(), index.text(),
           attrs.axis);
    return {{replaced(x.shape, attrs.axis, rank, {attrs.size}), x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return static_cast<double>(in[0].shape.count()); }
  // Up to as many terms as there are indices are summed one after the other, in float.
  static double tolerance(const Attrs&, std::span<const Spec> in) {
    return 1e-7 * std::sqrt(10.0 + static_cast<double>(in[1].shape.count()));
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const PickedRows size = picked_rows(f.out[0].shape(), attrs.axis, f.in[1].shape());
    check_index_range(name, f.in[1], size.rows);
    const auto x = f.in[0].data<T>(), y = f.out[0].data<T>();
    std::ranges::fill(y, T{0});
    for_each_picked(size, f.in[1].data<std::int32_t>(), [&](std::int64_t row, std::int64_t pick) {
      y[static_cast<std::size_t>(row)] += x[static_cast<std::size_t>(pick)];
    });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const auto dy = b.dy[0].data<T>(), dx = b.dx[0].data<T>();
    for_each_picked(picked_rows(b.dy[0].shape(), attrs.axis, b.in[1].shape()), b.in[1].data<std::int32_t>(),
                    [&](std::int64_t row, std::int64_t pick) {
                      dx[static_cast<std::size_t>(pick)] = dy[static_cast<std::size_t>(row)];
                    });
  }
  static void cpu(const Attrs& attrs, const Forward& f) {
    scatter_add_rows(f.run, name, picked_rows(f.out[0].shape(), attrs.axis, f.in[1].shape()), f.in[0], f.in[1],
                     f.out[0]);
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    take_rows(b.run, name, picked_rows(b.dy[0].shape(), attrs.axis, b.in[1].shape()), b.dy[0], b.in[1], b.dx[0]);
  }

  static Case<Attrs> on(const Picks& p) {
    return {p.name, {p.axis, p.with_rows[p.axis]}, {{replaced(p.with_rows, p.axis, 1, p.index)}, index_operand(p)}};
  }
  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const Picks& p : picks()) cases.push_back(on(p));
    return cases;
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {on({"65536x256 to 512 rows", 0, {512, 256}, {65536}}),
            on({"4096x512 to 1024 columns", 1, {4096, 1024}, {512}})};
  }
  static Case<Attrs> random_case(Random& random) { return on(random_picks(random)); }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand five{{5}, Domain::index, 4};
    return {{{1, 4}, {{{5}}, five}, {"scatter_add: x [5] f32", "dimensions of index [5] i32 from axis 1"}},
            {{0, 4}, {{{3, 2}}, five}, {"x [3,2] f32", "dimensions of index [5] i32 from axis 0"}},
            {{-1, 4}, {{{5}}, five}, {"from axis -1"}},
            {{0, -4}, {{{5}}, five}, {"axis cannot be -4"}},
            {{0, 4}, {{{5}, Domain::byte}, five}, {"scatter_add: x must be floating", "[5] u8"}},
            {{0, 4}, {{{5}}, {{5}, Domain::counter, 4}}, {"scatter_add: index must be i32", "[5] i64"}},
            {{0, 4}, {{{1, 1, 1, 1, 1, 1}}, {{}, Domain::index, 4}}, {"scatter_add", "7 dimensions", "[] i32"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> gather_rows() { return {&row_of<Gather>(), &row_of<ScatterAdd>()}; }

namespace ops {

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  return dispatch(row_of<Gather>(), GatherAttrs{from_front(axis, x)}, {x, index})[0];
}
Tensor scatter_add(const Tensor& x, const Tensor& index, const ScatterAddAttrs& attrs) {
  return dispatch(row_of<ScatterAdd>(), ScatterAddAttrs{from_front(attrs.axis, x), attrs.size}, {x, index})[0];
}

}  // namespace ops
}  // namespace gesso
