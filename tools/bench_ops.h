// Times every row of the op table on the CPU against ceilings that are measured beside it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace gesso {

struct BenchRow {
  std::string name, shape, pass;  // pass: "forward", "backward", or "gradient I" of operand I alone
  double ms = 0, ms_median = 0;   // of one call; ms is the minimum
  double gflops = 0, gbps = 0;    // at the minimum; a gradient counts the forward pass's operations
  double share = 0;  // of the nearer ceiling: the FMA loop, or a copy of as many bytes, both timed between the samples
};

struct BenchCeilings {
  double gflops = 0, gbps = 0;  // the best that was seen in the run
};

struct Bench {
  std::vector<BenchRow> rows;
  BenchCeilings ceilings;
};

// Operations a second in a loop of fused multiply-adds on all threads; short, so that it finds a moment in which
// nothing else runs: the ceiling is not to depend on who shares the machine.
double sample_flops(const Execution& run);
// Rows whose name holds `filter`; progress is told to `on_row` as it comes. Throws where no name does.
Bench bench_ops(std::string_view filter, void (*on_row)(const BenchRow&) = nullptr);

}  // namespace gesso
