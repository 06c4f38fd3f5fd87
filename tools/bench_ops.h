// Times every row of the op table on a device against ceilings that are measured beside it, and where NVIDIA's
// libraries are part of the build, against those.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/device.h"
#include "tools/bench_suites.h"

namespace gesso {

// A library's answer to the same call.
struct BenchComparison {
  double ms = 0, ms_median = 0;
  double ratio = 0;       // our time to the library's, both minima
  double difference = 0;  // the largest between both results, to the largest value of ours
};

inline constexpr std::string_view kForward = "forward", kInputGradient = "input gradient",
                                  kWeightGradient = "weight gradient", kAllPasses = "all";

struct BenchRow {
  // pass: "forward", "backward", or "gradient I" of operand I alone; in a suite kForward, kInputGradient,
  // kWeightGradient
  std::string name, shape, pass;
  double ms = 0, ms_median = 0;  // of one call; ms is the minimum. Caches hold what the calls before left there
  double gflops = 0, gbps = 0;   // at the minimum; a gradient counts the forward pass's operations
  // Of the nearer ceiling: the FMA loop, or a copy of as many bytes, both timed between the samples; none on the
  // emulated device.
  std::optional<double> share = {};
  std::optional<int> times = {};                        // of a suite: that a step makes the call
  std::optional<std::uint64_t> launches = {};           // of kernels, by one call; none on the CPU
  std::optional<BenchComparison> fp32 = {}, tf32 = {};  // none where no library has an answer
};

struct BenchCeilings {
  double gflops = 0, gbps = 0;  // the best that was seen in the run; 0 on the emulated device
};

// Of a suite's rows, each as often as a step makes the call.
struct BenchSum {
  std::string ops, pass;             // "convolutions", "other products" or "all"; as in rows, or kAllPasses
  double ms = 0, ms_median = 0;      // sums of the minima and of the medians
  double gflops = 0;                 // at the minima
  std::optional<double> share = {};  // of the loop of multiply-adds at its best in the run
};

struct Bench {
  DeviceKind device{};
  std::vector<BenchRow> rows = {};
  std::vector<BenchSum> sums = {};  // of a suite
  BenchCeilings ceilings = {};
};

using RowTold = std::function<void(const BenchRow&)>;

// Rows whose name holds `filter`; progress is told to `on_row` as it comes. The emulated device gets the largest cases
// that the checks give it. Throws where no row has such a name, or the device cannot be timed.
Bench bench_ops(std::string_view filter, DeviceKind device, const RowTold& on_row = {});

// The calls of a suite whose op's name holds `filter`, and their sums. Throws where none does, or the device is not
// made to be fast.
Bench bench_suite(const Suite& suite, std::string_view filter, DeviceKind device, const RowTold& on_row = {});

}  // namespace gesso
