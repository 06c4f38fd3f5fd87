// How the checks judge a call's results: against others within a tolerance, or to the bit.
#pragma once

#include <string_view>
#include <vector>

#include "ops/check/checks.h"

namespace gesso::check {

// Another pattern than poison for what results hold before a repeated call, so that an element left unwritten differs.
inline constexpr std::byte kOtherFill{0x2A};

// who: what gave `got`, as failures name it.
void compare(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
             const std::vector<Result>& want, double tolerance, Report& report);
void compare_bits(const Subject& subject, std::string_view kind, std::string_view who, const std::vector<Result>& got,
                  const std::vector<Result>& want, Report& report);
void expect_undamaged(const Subject& subject, std::string_view who, const Trial& trial, Report& report);
// Each gradient alone against those computed together: the mask is obeyed, and what is saved for it suffices.
void compare_alone(const Subject& subject, std::string_view kind, std::string_view who, Trial& trial, Operands unused,
                   const std::vector<Result>& together, double tolerance, Report& report);
bool has_gradients(const Trial& trial);

// Runs a check of one case; what it throws is a failure like any other.
template <class Check>
void guarded(const Subject& subject, Report& report, Check&& check) {
  try {
    check();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    report.expect(kind::error, false, [&] { return subject.told("threw: " + text); });
  }
}

}  // namespace gesso::check
