// An op of one's own: one row, which then runs through dispatch and tape, and which gesso's checks hold to what it
// says.
#include <fmt/ranges.h>

#include <array>

#include "ops/check/checks.h"
#include "ops/describe.h"

using namespace gesso;

struct Cube {
  static constexpr std::string_view name = "cube", doc = "y = x^3; dx = 3 x^2 dy";
  struct Attrs {};
  static constexpr Operands differentiable = operands(0);
  static Operands saved_inputs(const Attrs&, Operands) { return operands(0); }
  static Operands saved_outputs(const Attrs&, Operands) { return 0; }
  static Specs infer(const Attrs&, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype)) fail("cube: x must be floating, but is {}", in[0].text());
    return {in[0]};
  }
  static double flops(const Attrs&, std::span<const Spec> in) { return 2.0 * double(in[0].shape.count()); }
  static double tolerance(const Attrs&, std::span<const Spec>) { return 3e-7; }  // two products, rounded once each
  template <class T>
  static void reference(const Attrs&, const Forward& f) {
    parallel_for(f.run.pool, f.in[0].count(), 1 << 14, [&, x = f.in[0].data<T>()](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) f.out[0].data<T>()[i] = x[i] * x[i] * x[i];
    });
  }
  template <class T>
  static void reference_backward(const Attrs&, const Backward& b) {
    parallel_for(b.run.pool, b.in[0].count(), 1 << 14, [&, x = b.in[0].data<T>()](std::int64_t i, std::int64_t end) {
      for (; i < end; ++i) b.dx[0].data<T>()[i] = 3 * x[i] * x[i] * b.dy[0].data<T>()[i];
    });
  }
  static void cpu(const Attrs& attrs, const Forward& f) { reference<float>(attrs, f); }
  static void cpu_backward(const Attrs& attrs, const Backward& b) { reference_backward<float>(attrs, b); }
  static std::vector<Case<Attrs>> samples() {
    return {{"small", {}, {{{2, 5}}}}, {"several chunks", {}, {{{3, 9001}}}}};
  }
  static Case<Attrs> random_case(Random& random) { return {"random", {}, {{{pick(random, 1, 99)}}}}; }
  static std::vector<Reject<Attrs>> rejects() { return {{{}, {{{3}, Domain::index, 5}}, {"floating", "[3] i32"}}}; }
};

int main() {
  const Tensor x = Tensor::from_host<float>(std::array{1.0f, -2.0f, 3.0f}, {3}, device(DeviceKind::cpu));
  const Tensor ones = Tensor::from_host<float>(std::array{1.0f, 1.0f, 1.0f}, {3}, x.device());
  Tape tape;
  tape.watch(x);
  const Tensor y = dispatch(row_of<Cube>(), Cube::Attrs{}, {x})[0];
  const Tensor dx = tape.backward(std::array{y}, std::array{ones}, std::array{x})[0];
  fmt::print("y {} dx {}\n", y.to_host<float>(), dx.to_host<float>());
  const check::Report report = check::check_rows(std::array{&row_of<Cube>()}, {});
  for (const std::string& failure : report.failures) fmt::print("{}\n", failure);
  fmt::print("{} checks, {} failed\n", report.checks, report.failed);
  return report.failed == 0 ? 0 : 1;
}
