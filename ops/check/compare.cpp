#include "ops/check/compare.h"

namespace gesso::check {
namespace {

// Whether there are as many results as there should be.
bool same_number(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
                 const std::vector<Result>& want, Report& report) {
  report.expect(kind, got.size() == want.size(), [&] {
    return subject.told(fmt::format("{}: {} results instead of {}", who, got.size(), want.size()));
  });
  return got.size() == want.size();
}

}  // namespace

void compare(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
             const std::vector<Result>& want, double tolerance, Report& report) {
  if (!same_number(subject, kind, who, got, want, report)) return;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double apart = distance(got[i].value, want[i].value);
    report.expect(kind, apart <= tolerance, [&] {
      return subject.told(
          fmt::format("{}: {} is off by {:.2e} (tolerance {:.2e})", who, got[i].name, apart, tolerance));
    });
  }
}

void compare_bits(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
                  const std::vector<Result>& want, Report& report) {
  if (!same_number(subject, kind, who, got, want, report)) return;
  for (std::size_t i = 0; i < got.size(); ++i)
    report.expect(kind, same_bits(got[i].value, want[i].value),
                  [&] { return subject.told(fmt::format("{}: {} has other bits", who, got[i].name)); });
}

void expect_undamaged(const Subject& subject, std::string_view who, const Trial& trial, Report& report) {
  report.expect(kind::memory, trial.damage().empty(),
                [&] { return subject.told(fmt::format("{}, {}", who, trial.damage())); });
}

void compare_alone(const Subject& subject, std::string_view kind, std::string_view who, Trial& trial, Operands unused,
                   const std::vector<Result>& together, double tolerance, Report& report) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < trial.in().size(); ++i) {
    if (!has(trial.differentiable(), i)) continue;
    trial.backward(operands(i), unused);
    compare(subject, kind, fmt::format("{}, wanted alone", who), trial.gradients(), {together[next++]}, tolerance,
            report);
  }
}

bool has_gradients(const Trial& trial) { return trial.differentiable() != 0 && trial.floating_outputs() != 0; }

}  // namespace gesso::check
