#include "ops/where.h"

#include <algorithm>
#include <utility>

#include "ops/broadcast.h"
#include "ops/describe.h"
#include "ops/where_simd.h"

namespace gesso {
namespace {

Stretched operand(const Tensor& t) { return {t.data<float>().data(), t.shape()}; }

struct Where {
  static constexpr std::string_view name = "where";
  static constexpr std::string_view doc =
      "y = a where condition (u8) is not 0, else b, with numpy's broadcasting of all three; da = dy where the "
      "condition "
      "is not 0, else 0, db = dy - da, each summed over the dimensions along which it was stretched";
  struct Attrs {};
  static constexpr Operands differentiable = operands(1, 2);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    const Spec &condition = in[0], &a = in[1], &b = in[2];
    if (condition.dtype != DType::u8) fail("where: condition must be u8, but is {}", condition.text());
    if (!is_floating(a.dtype) || !is_floating(b.dtype))
      fail("where: a and b must be floating, but are {} and {}", a.text(), b.text());
    const Spec chosen{broadcast_shape("where", a, b), a.dtype};
    return {{broadcast_shape("where", condition, chosen, "condition", "what it chooses from"), a.dtype}};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 2e-7; }  // sums of gradients are rounded

  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    const Shape& shape = f.out[0].shape();
    for (std::int64_t i = 0; i < shape.count(); ++i)
      at<T>(f.out[0], i, shape) =
          at<std::uint8_t>(f.in[0], i, shape) ? at<T>(f.in[1], i, shape) : at<T>(f.in[2], i, shape);
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    const Shape& shape = b.dy[0].shape();
    for (std::size_t which : {1u, 2u}) {
      if (!b.dx[which]) continue;
      const Steps steps = steps_of(b.dx[which].shape(), shape);
      std::vector<double> sums(static_cast<std::size_t>(b.dx[which].count()));
      for (std::int64_t i = 0; i < shape.count(); ++i)
        if ((at<std::uint8_t>(b.in[0], i, shape) != 0) == (which == 1))
          sums[static_cast<std::size_t>(position(i, shape, steps))] += static_cast<double>(at<T>(b.dy[0], i, shape));
      std::ranges::transform(sums, b.dx[which].data<T>().begin(), [](double sum) { return static_cast<T>(sum); });
    }
  }

  static void cpu(const Attrs&, const Forward& f) {
    choose(f.run, f.in[0], operand(f.in[1]), operand(f.in[2]), f.out[0]);
  }
  static void cpu_backward(const Attrs&, const Backward& b) {
    constexpr float kZero = 0;
    const Stretched dy = operand(b.dy[0]), zero{&kZero, {}};
    for (std::size_t which : {1u, 2u}) {
      const Tensor& dx = b.dx[which];
      if (!dx) continue;
      const bool direct = dx.shape() == dy.shape;
      const Tensor terms = direct ? dx : b.run.scratch(b.dy[0].spec());
      choose(b.run, b.in[0], which == 1 ? dy : zero, which == 1 ? zero : dy, terms);
      if (!direct) sum_axes(b.run, operand(terms), stretched_axes(dx.shape(), dy.shape), 1, dx.data<float>().data());
    }
  }

  static std::vector<Case<Attrs>> samples() {
    return {on("same shape", {2, 3, 5}, {2, 3, 5}, {2, 3, 5}),
            on("masked scores", {4, 6}, {2, 3, 4, 6}, {}),
            on("one choice a sample", {3, 1}, {7}, {3, 7}),
            on("all stretched", {3, 1, 1}, {1, 4, 1}, {1, 1, 5}),
            on("one choice", {}, {3, 5}, {5}),
            on("between two numbers", {3, 5}, {}, {}),
            on("scalars", {}, {}, {}),
            on("a stretched by the condition", {2, 3}, {3}, {1, 3}),
            on("empty", {0, 4}, {4}, {}),
            on("empty, summed", {3, 0}, {3, 1}, {3, 0}),
            on("several chunks", {3, 17001}, {3, 17001}, {3, 17001}),
            on("several chunks of rows", {901, 1}, {901, 50}, {50})};
  }
  static std::vector<Case<Attrs>> benchmarks() {
    const Shape image = {16, 32, 32, 64};
    return {on("16x32x32x64", image, image, image), on("16x32x32x64 or a number", image, image, {})};
  }
  static Case<Attrs> random_case(Random& random) {
    Shape shapes[3];
    for (int rank = static_cast<int>(pick(random, 1, 4)), i = 0; i < rank; ++i) {
      const std::int64_t size = pick(random, 1, 9);
      for (Shape& shape : shapes)  // some lack outer dimensions
        if (shape.rank() > 0 || pick(random, 0, 3) > 0) shape.push_back(pick(random, 0, 3) == 0 ? 1 : size);
    }
    return on("random", shapes[0], shapes[1], shapes[2]);
  }
  static std::vector<Reject<Attrs>> rejects() {
    const Operand condition{{3}, Domain::index, 2, DType::u8};
    return {{{}, {{{3}}, {{3}}, {{3}}}, {"where", "condition must be u8", "[3] f32"}},
            {{}, {condition, {{3}}, {{3}, Domain::index, 5}}, {"where", "floating", "[3] i32"}},
            {{}, {condition, {{3}}, {{4}}}, {"where", "[4] f32", "3 meets 4"}},
            {{}, {condition, {{4}}, {{4}}}, {"where", "condition [3] u8", "[4] f32", "3 meets 4"}}};
  }

 private:
  static Case<Attrs> on(std::string name_of_case, const Shape& condition, const Shape& a, const Shape& b) {
    return {std::move(name_of_case), {}, {{condition, Domain::index, 2, DType::u8}, {a}, {b}}};
  }
  template <class T>
  static T& at(const Tensor& t, std::int64_t i, const Shape& shape) {
    return t.data<T>()[static_cast<std::size_t>(position(i, shape, steps_of(t.shape(), shape)))];
  }
  static void choose(const Execution& run, const Tensor& condition, const Stretched& a, const Stretched& b,
                     const Tensor& y) {
    const auto kernel =
        by_isa(run.isa, where_kernels<simd::Baseline>, where_kernels<simd::Avx2>, where_kernels<simd::Avx512>)().where;
    const Steps steps[] = {steps_of(condition.shape(), y.shape()), steps_of(a.shape, y.shape()),
                           steps_of(b.shape, y.shape())};
    const std::uint8_t* conditions = condition.data<std::uint8_t>().data();
    float* to = y.data<float>().data();
    for_each_block(run, y.shape(), steps, [&](const Block& block) {
      const Block::Place& at = block.operand[0];
      kernel(block.rows, block.columns, {conditions + at.begin, at.row, at.element}, block.operand[1].of(a.data),
             block.operand[2].of(b.data), to + block.result);
    });
  }
};

}  // namespace

std::vector<const RowInfo*> where_rows() { return {&row_of<Where>()}; }

Tensor ops::where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return dispatch(row_of<Where>(), Where::Attrs{}, {condition, a, b})[0];
}

}  // namespace gesso
