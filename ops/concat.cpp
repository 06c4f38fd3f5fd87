#include "ops/concat.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ops/axis.h"
#include "ops/copy_rows.h"
#include "ops/describe.h"

namespace gesso {
namespace {

using ops::kMaxParts;

constexpr Operands kAllParts = (1u << kMaxParts) - 1;

using Parts = ops::PartsAttrs;

// The whole as rows; each part gives every row a piece.
struct Rows {
  Rows(const Tensor& whole, int axis) : inner(static_cast<std::int64_t>(size_of(whole.dtype()))) {
    for (int d = 0; d < axis; ++d) rows *= whole.dim(d);
    for (int d = axis + 1; d < whole.shape().rank(); ++d) inner *= whole.dim(d);
    step = whole.dim(axis) * inner;
  }
  std::int64_t rows = 1, inner, step;  // inner, step: bytes
};

// piece(part, from the whole's beginning, bytes a row) for each part.
template <class Piece>
void for_each_part(const Rows& rows, const Parts& parts, Piece&& piece) {
  std::int64_t at = 0;
  for (std::size_t i = 0; i < parts.count(); ++i) {
    piece(i, at, parts.sizes[i] * rows.inner);
    at += parts.sizes[i] * rows.inner;
  }
}

// The parts, or zeros where one is missing, into their places in `whole`.
void join(const Execution& run, const Parts& parts, std::span<const Tensor> from, const Tensor& whole) {
  const Rows rows(whole, parts.axis);
  for_each_part(rows, parts, [&](std::size_t i, std::int64_t at, std::int64_t bytes) {
    copy_rows(run, {rows.rows, bytes, from[i] ? from[i].bytes() : nullptr, bytes, whole.bytes() + at, rows.step});
  });
}
// Their places in `whole` into the parts that are wanted.
void cut(const Execution& run, const Parts& parts, const Tensor& whole, std::span<const Tensor> to) {
  const Rows rows(whole, parts.axis);
  for_each_part(rows, parts, [&](std::size_t i, std::int64_t at, std::int64_t bytes) {
    if (to[i]) copy_rows(run, {rows.rows, bytes, whole.bytes() + at, rows.step, to[i].bytes(), bytes});
  });
}

// The same element by element: body(part, index in the part, index in the whole).
template <class Body>
void for_each_element(const Parts& parts, const Shape& whole, Body&& body) {
  std::int64_t inner = 1;
  for (int d = parts.axis + 1; d < whole.rank(); ++d) inner *= whole[d];
  for (std::int64_t i = 0; i < whole.count(); ++i) {
    const std::int64_t outer = i / (whole[parts.axis] * inner);
    std::int64_t place = i / inner % whole[parts.axis];
    std::size_t part = 0;
    while (place >= parts.sizes[part]) place -= parts.sizes[part++];
    body(part, (outer * parts.sizes[part] + place) * inner + i % inner, i);
  }
}
std::byte* element(const Tensor& t, std::int64_t i) {
  return t.bytes() + static_cast<std::size_t>(i) * size_of(t.dtype());
}

void join_naively(const Parts& parts, std::span<const Tensor> from, const Tensor& whole) {
  for_each_element(parts, whole.shape(), [&](std::size_t part, std::int64_t i, std::int64_t j) {
    if (from[part])
      std::memcpy(element(whole, j), element(from[part], i), size_of(whole.dtype()));
    else
      std::memset(element(whole, j), 0, size_of(whole.dtype()));
  });
}
void cut_naively(const Parts& parts, const Tensor& whole, std::span<const Tensor> to) {
  for_each_element(parts, whole.shape(), [&](std::size_t part, std::int64_t i, std::int64_t j) {
    if (to[part]) std::memcpy(element(to[part], i), element(whole, j), size_of(whole.dtype()));
  });
}

// Cases of both rows: a whole and how it is cut.
struct Cut {
  std::string name;
  Shape whole;
  Parts parts;
  Domain domain = Domain::normal;
};
std::vector<Cut> cuts() {
  return {{"two along the first", {5, 3}, {.axis = 0, .sizes = {2, 3, -1, -1, -1, -1, -1, -1}}},
          {"channels", {2, 3, 4, 7}, {.axis = 3, .sizes = {4, 1, 2, -1, -1, -1, -1, -1}}},
          {"eight", {2, 11, 3}, {.axis = 1, .sizes = {1, 2, 1, 2, 1, 2, 1, 1}}},
          {"one of them empty", {3, 4}, {.axis = 1, .sizes = {1, 0, 3, -1, -1, -1, -1, -1}}},
          {"no rows", {0, 4}, {.axis = 1, .sizes = {1, 3, -1, -1, -1, -1, -1, -1}}},
          {"whole numbers", {5, 3}, {.axis = 0, .sizes = {2, 3, -1, -1, -1, -1, -1, -1}}, Domain::index},
          {"bytes", {5, 3}, {.axis = 1, .sizes = {2, 1, -1, -1, -1, -1, -1, -1}}, Domain::byte},
          {"several chunks of rows", {2003, 65}, {.axis = 1, .sizes = {64, 1, -1, -1, -1, -1, -1, -1}}},
          {"rows of several chunks", {2, 40003}, {.axis = 1, .sizes = {20000, 20003, -1, -1, -1, -1, -1, -1}}}};
}
Cut random_cut(Random& random) {
  Parts parts{.axis = static_cast<int>(pick(random, 0, 2))};
  for (std::size_t i = 0, n = static_cast<std::size_t>(pick(random, 2, kMaxParts)); i < n; ++i)
    parts.sizes[i] = pick(random, 0, 5);
  Shape whole{pick(random, 1, 5), pick(random, 1, 5), pick(random, 1, 5)};
  whole[parts.axis] = parts.sum();
  return {"random", whole, parts};
}
Operand operand(const Cut& cut, const Shape& shape) { return {shape, cut.domain, 100}; }
std::vector<Operand> part_operands(const Cut& cut) {
  std::vector<Operand> all(kMaxParts, {{}, Domain::absent});
  for (std::size_t i = 0; i < cut.parts.count(); ++i) {
    Shape shape = cut.whole;
    shape[cut.parts.axis] = cut.parts.sizes[i];
    all[i] = operand(cut, shape);
  }
  return all;
}

struct Concat {
  static constexpr std::string_view name = "concat";
  static constexpr std::string_view doc =
      "y = two to eight tensors, one after the other along an axis; their gradients are dy's pieces";
  using Attrs = Parts;
  static constexpr Operands differentiable = kAllParts;
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& parts, std::span<const Spec> in) {
    if (parts.count() < 2) fail("concat: two to eight tensors can be joined, but {} was given", parts.count());
    Spec y = in[0];
    check_axis(name, parts.axis, y);
    for (std::size_t i = 0; i < parts.count(); ++i) {
      y.shape[parts.axis] = parts.sizes[i];
      if (in[i] != y)
        fail("concat: operand {} is {}, but beside operand 0, {}, it must be {} (they may differ along axis {} alone)",
             i, in[i].text(), in[0].text(), y.text(), parts.axis);
    }
    y.shape[parts.axis] = parts.sum();
    return {y};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& parts, const Forward& f) {
    join_naively(parts, f.in, f.out[0]);
  }
  template <class T>
  static void reference_backward(const Attrs& parts, const Backward& b) {
    cut_naively(parts, b.dy[0], b.dx);
  }
  static void cpu(const Attrs& parts, const Forward& f) { join(f.run, parts, f.in, f.out[0]); }
  static void cpu_backward(const Attrs& parts, const Backward& b) { cut(b.run, parts, b.dy[0], b.dx); }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const Cut& cut : cuts()) cases.push_back({cut.name, cut.parts, part_operands(cut)});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) {
    const Cut cut = random_cut(random);
    return {cut.name, cut.parts, part_operands(cut)};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Parts two{.axis = 1, .sizes = {2, 3, -1, -1, -1, -1, -1, -1}};
    return {{two, {{{4, 2}}, {{5, 3}}}, {"concat: operand 1 is [5,3] f32", "must be [4,3] f32", "axis 1"}},
            {two, {{{4, 2}}, {{4, 3}, Domain::byte}}, {"[4,3] u8", "must be [4,3] f32"}},
            {two, {{{2}}, {{3}}}, {"[2] f32 has no axis 1"}},
            {{.axis = 0, .sizes = {2, -1, -1, -1, -1, -1, -1, -1}}, {{{2}}}, {"two to eight", "1 was given"}}};
  }
};

struct Split {
  static constexpr std::string_view name = "split";
  static constexpr std::string_view doc =
      "one to eight outputs: x's pieces of the given sizes along an axis; dx = their gradients, joined";
  using Attrs = Parts;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& parts, std::span<const Spec> in) {
    check_axis(name, parts.axis, in[0]);
    if (parts.count() == 0 || parts.sum() != in[0].shape[parts.axis])
      fail("split: parts of {} along axis {} of x {} do not add up to it",
           fmt::join(parts.sizes.begin(), parts.sizes.begin() + static_cast<std::ptrdiff_t>(parts.count()), " + "),
           parts.axis, in[0].text());
    Specs all(kMaxParts);
    for (std::size_t i = 0; i < parts.count(); ++i) {
      all[i] = in[0];
      all[i].shape[parts.axis] = parts.sizes[i];
    }
    return all;
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& parts, const Forward& f) {
    cut_naively(parts, f.in[0], f.out);
  }
  template <class T>
  static void reference_backward(const Attrs& parts, const Backward& b) {
    join_naively(parts, b.dy, b.dx[0]);
  }
  static void cpu(const Attrs& parts, const Forward& f) { cut(f.run, parts, f.in[0], f.out); }
  static void cpu_backward(const Attrs& parts, const Backward& b) { join(b.run, parts, b.dy, b.dx[0]); }

  static std::vector<Case<Attrs>> samples() {
    std::vector<Case<Attrs>> cases;
    for (const Cut& cut : cuts()) cases.push_back({cut.name, cut.parts, {operand(cut, cut.whole)}});
    return cases;
  }
  static Case<Attrs> random_case(Random& random) {
    const Cut cut = random_cut(random);
    return {cut.name, cut.parts, {operand(cut, cut.whole)}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Parts two{.axis = 1, .sizes = {2, 3, -1, -1, -1, -1, -1, -1}};
    return {{two, {{{4, 6}}}, {"split: parts of 2 + 3 along axis 1 of x [4,6] f32"}},
            {two, {{{5}}}, {"split: x [5] f32 has no axis 1"}}};
  }
};

void check_count(std::string_view op, std::size_t parts) {
  if (parts > kMaxParts)
    fail("{}: {} parts were given, but at most {} can be; do it in two goes", op, parts, kMaxParts);
}

}  // namespace

std::vector<const RowInfo*> concat_rows() { return {&row_of<Concat>(), &row_of<Split>()}; }

namespace ops {

Tensor concat(std::span<const Tensor> parts, int axis) {
  check_count("concat", parts.size());
  Parts attrs{.axis = parts.empty() ? axis : from_front(axis, parts[0])};
  for (std::size_t i = 0; i < parts.size(); ++i)
    attrs.sizes[i] = attrs.axis >= 0 && attrs.axis < parts[i].shape().rank() ? parts[i].dim(attrs.axis) : 0;
  Tensors all(parts.begin(), parts.end());
  all.resize(kMaxParts);
  return dispatch(row_of<Concat>(), attrs, all)[0];
}

Tensor concat_all(Tensors parts, int axis) {
  if (parts.empty()) fail("concat: no tensors, so nothing to join");
  while (parts.size() > 1) {
    Tensors longer;
    for (std::size_t i = 0; i < parts.size(); i += kMaxParts) {
      const auto some = std::span(parts).subspan(i, std::min<std::size_t>(kMaxParts, parts.size() - i));
      longer.push_back(some.size() == 1 ? some[0] : concat(some, axis));
    }
    parts = std::move(longer);
  }
  return parts[0];
}

Tensors split(const Tensor& x, int axis, std::span<const std::int64_t> sizes) {
  check_count("split", sizes.size());
  PartsAttrs attrs{.axis = from_front(axis, x)};
  for (const std::int64_t size : sizes)
    if (size < 0) fail("split: a part of x {} cannot have size {}", x.spec().text(), size);
  std::ranges::copy(sizes, attrs.sizes.begin());
  Tensors parts = dispatch(row_of<Split>(), attrs, {x});
  parts.resize(sizes.size());
  return parts;
}

Tensors split_equally(const Tensor& x, int axis, int parts) {
  const int from = from_front(axis, x);
  check_axis("split", from, x.spec());
  if (parts < 1 || x.dim(from) % parts != 0)
    fail("split: x {} cannot be cut into {} equal parts along axis {}", x.spec().text(), parts, axis);
  return split(x, axis, std::vector<std::int64_t>(static_cast<std::size_t>(parts), x.dim(from) / parts));
}

}  // namespace ops

}  // namespace gesso
