// Where a step's time goes, op by op, beside what each op needs at least on this machine.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/profiler.h"
#include "tools/bench_device.h"

namespace gesso {

// One op of a step in one of its passes, with operands of one shape.
struct StepOp {
  std::string name = {}, pass = {}, operands = {};  // as the profiler has them
  int calls = 0;                                    // in one step; what follows is of all of them
  double ms = 0;                                    // each call the median over the steps
  double gflop = 0, gbytes = 0;
  double floor_ms = 0;  // operations at the peak, or bytes at the speed of a copy of as many, whichever is longer
};

// What a device needs at least for a piece of work. `bench` and `device` must outlive it.
class Floor {
 public:
  // flops: operations a second at the peak.
  Floor(const DeviceUnderBench& bench, Device& device, double flops) : bench_(bench), device_(device), flops_(flops) {}
  double seconds(double operations, double bytes);

 private:
  double bandwidth(double bytes);  // bytes a second of a copy that touches about as many

  const DeviceUnderBench& bench_;
  Device& device_;
  double flops_;
  std::map<int, double> bandwidth_;  // by the power of two; measured when it is first asked for
};

// events: what the profiler recorded of steps that did the same. By falling time.
std::vector<StepOp> step_ops(std::span<const std::vector<ProfileEvent>> events, Floor& floor);

// Those of one name and pass together, over all shapes (pass: "forward" or "backward"; operands: none), by falling
// time.
std::vector<StepOp> by_name(std::span<const StepOp> ops);

}  // namespace gesso
