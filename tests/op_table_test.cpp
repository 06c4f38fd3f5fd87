// Runs the op table: each row's samples and some random cases through all checks, and planted faults through a few
// rows.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <vector>

#include "ops/check/checks.h"
#include "ops/check/mutate.h"
#include "ops/op_list.h"
#include "tests/support.h"

namespace gesso {
namespace {

// `gesso check` runs more of them.
constexpr int kRandomCases = 1;

check::Options options() { return {.seed = test_seed(), .random_cases = kRandomCases}; }

TEST_SUITE("op table") {
  TEST_CASE("every row passes every check") {
    const check::Options seeded = options();
    check::Pools pools;
    for (const RowInfo* row : all_rows()) {
      const check::Report report = check::check_row(*row, seeded, pools);
      CHECK_MESSAGE(report.failed == 0, row->name, ": ", report.failed, " of ", report.checks, " checks failed");
      CHECK(report.cases > kRandomCases);
      for (const std::string& failure : report.failures) MESSAGE(failure);
    }
  }

  TEST_CASE("a fault planted in any result of an elementwise row is caught") {
    const std::vector<const RowInfo*> rows{&row_named("relu"), &row_named("silu")};
    const check::MutationReport report = check::mutate_rows(rows, options());
    CHECK(report.planted == 60);  // two rows, output and gradient, three kernels, five faults
    CHECK(report.caught == report.planted);
    for (const std::string& missed : report.missed) MESSAGE(missed);
  }
}

}  // namespace
}  // namespace gesso
