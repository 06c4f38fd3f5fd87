// An op of one's own, which then runs through dispatch and tape, and which gesso's checks hold to what it says.
#include <fmt/format.h>

#include "ops/check/checks.h"
#include "ops/unary_row.h"

using namespace gesso;

struct Cube {
  static constexpr std::string_view name = "cube", doc = "y = x^3; dx = 3 x^2 dy";
  static constexpr unary::Kept kept = unary::Kept::x;  // what backward reads
  static constexpr Domain domain = Domain::normal;     // what the checks fill x with
  static constexpr double tolerance = 3e-7;            // two products, rounded once each
  template <class T>
  static T value(T x) {
    return x * x * x;
  }
  template <class T>
  static T derivative(T x) {
    return 3 * x * x;
  }
};

int main() {
  const Tensor x = Tensor::from_host<float>(std::vector{1.0f, -2.0f, 3.0f}, {3}, device(DeviceKind::cpu));
  fmt::print("y {}\n", fmt::join(unary::apply<Cube>(x).to_host<float>(), " "));
  const check::Report report = check::check_rows(std::vector{&row_of<unary::Unary<Cube>>()}, {});
  fmt::print("{} checks, {} failed\n", report.checks, report.failed);
  return report.failed == 0 ? 0 : 1;
}
