// The proof that the checks bite: one result of one kernel is spoiled at a time, everything else runs honestly, and the
// check that answers for it must fail. (Spoiling all at once proves nothing: one live check then hides the dead ones.)
#pragma once

#include <string>
#include <vector>

#include "ops/check/checks.h"

namespace gesso::check {

struct MutationReport {
  int planted = 0, caught = 0;
  std::vector<std::string> missed;  // each by row, kernel, result and fault
};

// Every output, operand updated in place and gradient of the reference (in double, and in float) and of the cpu kernel:
// scaled by 1.01 (whole numbers: one more), zeroed, negated, last element not written, one element past the end
// written.
MutationReport mutate_row(const RowInfo& row, const Options& options, Pools& pools);
MutationReport mutate_rows(std::span<const RowInfo* const> rows, const Options& options);

}  // namespace gesso::check
