// The kernel that decides whether a step may change anything: see ops/step_gate.h.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

struct StepGateCall {
  int window = 0;                                                  // W
  float *recent = nullptr, *gate = nullptr, *report = nullptr;     // [3,W], [1], [4]
  const std::int64_t* step = nullptr;                              // [1]
  const float *norm = nullptr, *loss = nullptr, *sizes = nullptr;  // [1]; the last two null where absent
  float deviations = 0;
  bool skips = false;
  std::int64_t most_in_row = 0, most_in_window = 0;
};
struct StepGateKernels {
  void (*decide)(cu::Stream stream, const StepGateCall& call);
};
template <class Build>
const StepGateKernels& step_gate_kernels();

void register_step_gate(DeviceKind device, const StepGateKernels& kernels);

}  // namespace gesso::cuda
