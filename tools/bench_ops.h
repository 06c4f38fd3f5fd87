// Times every row of the op table on the CPU against ceilings that are measured beside it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

// Rows whose name holds `filter`; progress is told to `on_row` as it comes. Throws where no name does.
Bench bench_ops(std::string_view filter, void (*on_row)(const BenchRow&) = nullptr);

}  // namespace gesso
