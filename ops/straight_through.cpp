#include "ops/straight_through.h"

#include <algorithm>

#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk, as of every elementwise op

void copy(ThreadPool& pool, const Tensor& from, const Tensor& to) {
  const float* x = from.data<float>().data();
  float* y = to.data<float>().data();
  parallel_for(pool, from.count(), kGrain,
               [&](std::int64_t begin, std::int64_t end) { std::copy(x + begin, x + end, y + begin); });
}

struct StraightThrough {
  static constexpr std::string_view name = "straight_through";
  static constexpr std::string_view doc =
      "y = q, dz = dy for z, q of one shape; q has no gradient (Bengio, Leonard and Courville 2013; van den Oord, "
      "Vinyals and Kavukcuoglu 2017, sec. 3.2)";
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return 0; }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || in[0] != in[1])
      fail("straight_through: z and q must be floating and of one shape (z {}, q {})", in[0].text(), in[1].text());
    return {in[1]};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }
  static double bytes(const Attrs&, std::span<const Spec> in) { return 2 * static_cast<double>(in[1].bytes()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    std::ranges::copy(f.in[1].data<T>(), f.out[0].data<T>().begin());
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    std::ranges::copy(b.dy[0].data<T>(), b.dx[0].data<T>().begin());
  }
  // The gradient is that of y = z.
  template <class T>
  static void surrogate(const Attrs&, const Forward& f) {
    std::ranges::copy(f.in[0].data<T>(), f.out[0].data<T>().begin());
  }
  static void cpu(const Attrs&, const Forward& f) { copy(f.run.pool, f.in[1], f.out[0]); }
  static void cpu_backward(const Attrs&, const Backward& b) { copy(b.run.pool, b.dy[0], b.dx[0]); }

  static std::vector<Case<Attrs>> samples() {
    return {{"codes", {}, {{{5, 3}}, {{5, 3}}}},
            {"image", {}, {{{2, 3, 5, 7}}, {{2, 3, 5, 7}}}},
            {"several chunks", {}, {{{7, 40001}}, {{7, 40001}}}},
            {"one", {}, {{{1}}, {{1}}}},
            {"empty", {}, {{{0, 4}}, {{0, 4}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const Shape shape{pick(random, 1, 20), pick(random, 1, 40)};
    return {"random", {}, {{shape}, {shape}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{5, 3}}, {{3, 5}}}, {"straight_through", "one shape", "[5,3] f32", "[3,5] f32"}},
            {{}, {{{3}, Domain::index, 4}, {{3}, Domain::index, 4}}, {"floating", "[3] i32"}}};
  }
};

}  // namespace

std::vector<const RowInfo*> straight_through_rows() { return {&row_of<StraightThrough>()}; }

namespace ops {
Tensor straight_through(const Tensor& z, const Tensor& q) {
  return dispatch(row_of<StraightThrough>(), StraightThrough::Attrs{}, {z, q})[0];
}
}  // namespace ops

}  // namespace gesso
