#include "ops/slice.h"

#include <limits>
#include <memory>

#include "ops/describe.h"
#include "ops/window.h"

namespace gesso {
namespace {

// begin + size may not be computed: it may be beyond what can be counted.
bool lies_in(std::int64_t begin, std::int64_t size, std::int64_t all) {
  return begin >= 0 && size >= 0 && size <= all && begin <= all - size;
}

struct Slice {
  static constexpr std::string_view name = "slice";
  static constexpr std::string_view doc =
      "y = the elements begin[d] to begin[d] + size[d] - 1 of x along each dimension d; dx = dy there, 0 elsewhere";
  using Attrs = ops::SliceAttrs;
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    const Spec& x = in[0];
    if (attrs.begin.rank() != x.shape.rank() || attrs.size.rank() != x.shape.rank())
      fail("slice: x {} needs {} beginnings and sizes, but has {} and {}", x.text(), x.shape.rank(), attrs.begin.text(),
           attrs.size.text());
    for (int d = 0; d < x.shape.rank(); ++d)
      if (!lies_in(attrs.begin[d], attrs.size[d], x.shape[d]))
        fail("slice: along axis {}, {} elements from {} on do not lie in x {}", d, attrs.size[d], attrs.begin[d],
             x.text());
    return {{attrs.size, x.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }  // it copies
  // What is left out is not read.
  static double bytes(const Attrs& attrs, std::span<const Spec> in) {
    return 2.0 * static_cast<double>(Spec{attrs.size, in[0].dtype}.bytes());
  }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    take_window_naively(f.in[0], attrs.begin, f.out[0]);
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    place_window_naively(b.dy[0], attrs.begin, b.dx[0]);
  }
  static void cpu(const Attrs& attrs, const Forward& f) { take_window(f.run, f.in[0], attrs.begin, f.out[0]); }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    place_window(b.run, b.dy[0], attrs.begin, b.dx[0]);
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"middle of an image", {.begin = {0, 1, 2, 0}, .size = {2, 3, 1, 5}}, {{{2, 5, 4, 5}}}},
            {"channels", {.begin = {0, 0, 0, 2}, .size = {2, 3, 4, 3}}, {{{2, 3, 4, 5}}}},
            {"one channel", {.begin = {0, 0, 4}, .size = {3, 4, 1}}, {{{3, 4, 5}}}},
            {"everywhere", {.begin = {1, 2, 3}, .size = {1, 2, 1}}, {{{2, 5, 4}}}},
            {"first samples", {.begin = {1, 0}, .size = {2, 5}}, {{{4, 5}}}},
            {"vector", {.begin = {2}, .size = {3}}, {{{7}}}},
            {"all of it", {.begin = {0, 0}, .size = {2, 3}}, {{{2, 3}}}},
            {"scalar", {}, {{{}}}},
            {"nothing of it", {.begin = {1, 3}, .size = {2, 0}}, {{{4, 3}}}},
            {"of nothing", {.begin = {0, 1}, .size = {0, 2}}, {{{0, 3}}}},
            {"whole numbers", {.begin = {0, 1}, .size = {2, 2}}, {{{2, 3}, Domain::index, 100}}},
            {"bytes", {.begin = {1, 1}, .size = {1, 2}}, {{{2, 3}, Domain::byte}}},
            {"six dimensions", {.begin = {0, 1, 0, 1, 0, 1}, .size = {2, 1, 2, 1, 2, 1}}, {{{2, 2, 2, 2, 2, 2}}}},
            {"long rows", {.begin = {0, 1}, .size = {2, 4001}}, {{{2, 4003}}}},
            {"several chunks of rows", {.begin = {1, 1, 1, 0}, .size = {6, 29, 31, 16}}, {{{8, 30, 33, 17}}}},
            {"rows of several chunks", {.begin = {0, 1}, .size = {2, 20001}}, {{{2, 20003}}}}};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    return {{"N64 40x40x128 to 32x32", {.begin = {0, 4, 4, 0}, .size = {64, 32, 32, 128}}, {{{64, 40, 40, 128}}}},
            {"N16 256x256x4 to 3 channels", {.begin = {0, 0, 0, 0}, .size = {16, 256, 256, 3}}, {{{16, 256, 256, 4}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    Attrs attrs;
    Shape x;
    for (int d = static_cast<int>(pick(random, 1, 5)); d > 0; --d) {
      x.push_back(pick(random, 1, 7));
      attrs.begin.push_back(pick(random, 0, x.back() - 1));
      attrs.size.push_back(pick(random, 1, x.back() - attrs.begin.back()));
    }
    return {"random", attrs, {{x}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    return {{{.begin = {1}, .size = {1}}, {{{3, 4}}}, {"slice: x [3,4] f32 needs 2 beginnings", "[1] and [1]"}},
            {{.begin = {0, 2}, .size = {3, 3}}, {{{3, 4}}}, {"axis 1", "3 elements from 2 on", "x [3,4] f32"}},
            {{.begin = {kMost, 0}, .size = {3, 3}}, {{{3, 4}}}, {"axis 0", "3 elements from", "x [3,4] f32"}}};
  }
};

// A view of the outermost dimension's elements from `begin` on.
class RecordedView final : public Recorded {
 public:
  explicit RecordedView(std::int64_t begin) : begin_(begin) {}
  std::string_view name() const override { return Slice::name; }
  void backward(std::span<const Tensor> dy, std::span<Tensor> dx) override {
    dx[0].fill_zero();
    dx[0].slice(begin_, begin_ + dy[0].dim(0)).copy_from(dy[0]);
  }

 private:
  std::int64_t begin_;
};

bool cuts_outermost_alone(const Shape& x, const ops::SliceAttrs& attrs) {
  if (x.rank() == 0 || attrs.begin.rank() != x.rank() || attrs.size.rank() != x.rank()) return false;
  for (int d = 1; d < x.rank(); ++d)
    if (attrs.begin[d] != 0 || attrs.size[d] != x[d]) return false;
  return lies_in(attrs.begin[0], attrs.size[0], x[0]);
}

}  // namespace

std::vector<const RowInfo*> slice_rows() { return {&row_of<Slice>()}; }

Tensor ops::slice(const Tensor& x, const SliceAttrs& attrs) {
  if (!cuts_outermost_alone(x.shape(), attrs)) return dispatch(row_of<Slice>(), attrs, {x})[0];
  const Tensor y = x.slice(attrs.begin[0], attrs.begin[0] + attrs.size[0]);
  if (Tape* tape = Tape::current(); tape && tape->knows(x))
    tape->record(std::span(&x, 1), std::span(&y, 1), std::make_unique<RecordedView>(attrs.begin[0]));
  return y;
}

}  // namespace gesso
