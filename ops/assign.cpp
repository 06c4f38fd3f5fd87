#include "ops/assign.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/describe.h"

namespace gesso {
namespace {

constexpr std::int64_t kGrain = 1 << 14;  // elements a chunk

struct Assign {
  static constexpr std::string_view name = "assign";
  static constexpr std::string_view doc = "in place: target = value, of one shape; nothing where gate[1] is not finite";
  static constexpr std::string_view not_differentiable = "it commits a step's state, after backward";
  struct Attrs {};
  static constexpr Operands in_place = operands(0);
  static constexpr bool mixed_dtypes = true;  // the gate is f32 whatever the state is

  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || in[1] != in[0])
      fail("assign: value must be like the floating target {}, but is {}", in[0].text(), in[1].text());
    if (in[2].shape != Shape{1} || !is_floating(in[2].dtype))
      fail("assign: gate must be [1] f32, but is {}", in[2].text());
    return {};
  }
  static double flops(const Attrs&, std::span<const Spec>) { return 0; }
  static double bytes(const Attrs&, std::span<const Spec> in) { return 2.0 * static_cast<double>(in[0].bytes()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 0; }

  static bool open(const Tensor& gate) {
    return gate.dtype() == DType::f64 ? std::isfinite(gate.data<double>()[0]) : std::isfinite(gate.data<float>()[0]);
  }
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    if (open(f.in[2])) std::ranges::copy(f.in[1].data<T>(), f.in[0].data<T>().begin());
  }
  static void cpu(const Attrs&, const Forward& f) {
    if (!f.run.computes() || !open(f.in[2])) return;
    const float* value = f.in[1].data<float>().data();
    float* target = f.in[0].data<float>().data();
    parallel_for(f.run.pool, f.in[0].count(), kGrain,
                 [=](std::int64_t begin, std::int64_t end) { std::copy(value + begin, value + end, target + begin); });
  }

  static std::vector<Case<Attrs>> samples() {
    return {{"vector", {}, {{{7}}, {{7}}, {{1}}}},
            {"several chunks", {}, {{{3, 17001}}, {{3, 17001}}, {{1}}}},
            {"empty", {}, {{{0}}, {{0}}, {{1}}}}};
  }
  static Case<Attrs> random_case(Random& random) {
    const Shape shape = {pick(random, 1, 9), pick(random, 1, 70)};
    return {"random", {}, {{shape}, {shape}, {{1}}}};
  }
  static std::vector<Reject<Attrs>> rejects() {
    return {{{}, {{{3}}, {{4}}, {{1}}}, {"value must be like", "[3] f32", "[4] f32"}},
            {{}, {{{3}}, {{3}}, {{2}}}, {"gate must be [1]", "[2] f32"}}};
  }
  static std::vector<Known<Attrs>> known() {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const Spec two{{2}, DType::f32}, one{{1}, DType::f32};
    return {{"a finite gate lets through", {}, {{two, {1, 2}}, {two, {3, -4}}, {one, {0}}}, {{two, {3, -4}}}},
            {"an infinite gate does not", {}, {{two, {1, 2}}, {two, {3, -4}}, {one, {kInfinity}}}, {{two, {1, 2}}}}};
  }
};

}  // namespace

std::vector<const RowInfo*> assign_rows() { return {&row_of<Assign>()}; }

namespace ops {

void assign(const Tensor& target, const Tensor& value, const Tensor& gate) {
  dispatch(row_of<Assign>(), Assign::Attrs{}, {target, value, gate});
}

}  // namespace ops
}  // namespace gesso
