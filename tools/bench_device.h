// How benchmarks time calls on a device, whichever it is.
#pragma once

#include <functional>
#include <memory>

#include "cuda/devices.h"
#include "ops/op.h"

namespace gesso {

// The CPU is timed by its clock and told against a loop and a copy on all threads; the reference, which is not made to
// be fast, against nothing. `run` must outlive what is returned.
DeviceUnderBench under_bench(const Execution& run);

// Operations a second in a loop of fused multiply-adds on all of the device; short, so that it finds a moment in which
// nothing else runs: the ceiling is not to depend on who shares the machine. 0 where the device has no such loop.
double sample_flops(const DeviceUnderBench& bench);

// A call that is timed again and again. A device that can records it, many times over, and replays that, as it does the
// steps of a training: asked for anew, a short call takes the host longer than the device.
class TimedCall {
 public:
  TimedCall(const DeviceUnderBench& bench, Device& device, const std::function<void()>& call);
  double sample() const;  // seconds of one call

 private:
  std::function<double(const std::function<void()>&)> seconds_;
  std::function<void()> work_;
  std::unique_ptr<Graph> graph_;
  int times_ = 1;  // that the work does the call
};

// Copies half of `bytes` to the other half: what memory gives a kernel that touches as much, from whichever cache holds
// it. `bench` and `device` must outlive it.
class CopyCeiling {
 public:
  CopyCeiling(const DeviceUnderBench& bench, Device& device, double bytes);
  double sample() const { return 8.0 * static_cast<double>(n_) / call_.sample(); }  // bytes a second

 private:
  std::int64_t n_;
  Tensor from_, to_;
  TimedCall call_;
};

}  // namespace gesso
