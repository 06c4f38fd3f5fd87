// The one door to this folder, for tools and tests.
#pragma once

#include "ops/check/on_device.h"

namespace gesso {

// Adds the devices `cuda` and `emulated`, as far as this build and machine have them, and their kernels. Called once,
// at program start.
void register_cuda_devices();

// How checks handle a device that was added here. Throws where there is none of that kind.
check::DeviceUnderCheck device_under_check(DeviceKind kind);

}  // namespace gesso
