// The one door to this folder, for tools and tests.
#pragma once

#include <string>
#include <vector>

#include "ops/check/on_device.h"

namespace gesso {

// Adds the devices `cuda` and `emulated`, as far as this build and machine have them, and their kernels. Called once,
// at program start.
void register_cuda_devices();

// How checks handle a device that was added here. Throws where there is none of that kind.
check::DeviceUnderCheck device_under_check(DeviceKind kind);

// What emulation of one thing that kernels do costs on this machine.
struct EmulationCost {
  std::string what;
  double ns = 0;
  std::string per;  // launch, thread or warp
};
// Measures them. Throws where there is no emulator.
std::vector<EmulationCost> emulation_costs();

}  // namespace gesso
