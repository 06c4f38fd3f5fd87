// Times a recipe's whole training step: the batch copied to the device, forward, backward, optimiser.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/device.h"
#include "tools/bench_step_ops.h"

namespace gesso {

struct StepBenchRequest {
  std::string recipe;  // a name or a path
  std::vector<std::string> assignments;
};

struct StepBench {
  std::string device, conv_algorithm;
  int steps = 0;  // that were timed
  double ms_min = 0, ms_median = 0;
  double images_per_s = 0;     // at the median
  std::size_t peak_bytes = 0;  // of the device's memory
  std::size_t predicted_peak_bytes = 0;
  double gflop = 0;  // of one step; a gradient counts the forward pass's operations
  // At the minimum, of the FMA loop timed between the steps; empty where the device has no such loop.
  std::optional<double> share_of_peak = {};
  double peak_gflops = 0;
  // A step after the first two: how often the system was asked for memory, and gave pages that were touched first.
  double allocations = 0, page_faults = 0;
  std::size_t peak_rss_bytes = 0;  // of the process's memory, data and all
  // By falling time, each beside what it needs at least; empty on a device that is not asked op by op or that has no
  // ceilings.
  std::vector<StepOp> ops = {};
};

// Throws what a training run of the recipe would throw before its first step.
StepBench bench_step(const StepBenchRequest& request, Device& device);

// Where the host's time of one step goes, op by op; of a GPU's own time where each launch waits
// (CUDA_LAUNCH_BLOCKING=1).
struct StepTrace {
  std::string table, chrome_json;
};
StepTrace trace_step(const StepBenchRequest& request, Device& device);  // throws as bench_step

}  // namespace gesso
