// The one door to this folder, for tools and tests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "ops/check/on_device.h"

namespace gesso {

// Adds the devices `cuda` and `emulated`, as far as this build and machine have them, and their kernels. Called once,
// at program start.
void register_cuda_devices();

// How checks handle a device that was added here. Throws where there is none of that kind.
check::DeviceUnderCheck device_under_check(DeviceKind kind);

// How benchmarks time a device that was added here, and what they tell its speed against.
struct DeviceUnderBench {
  std::function<double(const std::function<void()>& work)> seconds;  // that the device needs for it, by its own clock
  // Asks for a loop of multiply-adds, and says how many operations it is; copies n elements, in fours. Both empty on
  // the emulator, whose speed is nobody's.
  std::function<double()> multiply_add;
  std::function<void(std::int64_t n, const float* from, float* to)> copy;
};
// Throws where there is no device of that kind.
DeviceUnderBench device_under_bench(DeviceKind kind);

// The same product as an op's by a library of NVIDIA's, on the device `cuda`, into the tensors of the call: in fp32,
// and where TF32 is allowed. Each is empty where the libraries have no answer, and where they are not part of this
// build.
struct VendorCalls {
  std::function<void()> fp32, tf32;
};
bool has_vendor();  // whether they are part of it
// A call with bias, residual or activation has no answer, nor has one that wants more than one gradient.
VendorCalls vendor_calls(const RowInfo& row, const Attributes& attrs, const Forward& call);
VendorCalls vendor_calls(const RowInfo& row, const Attributes& attrs, const Backward& call);

// What emulation of one thing that kernels do costs on this machine.
struct EmulationCost {
  std::string what;
  double ns = 0;
  std::string per;  // launch, thread or warp
};
// Measures them. Throws where there is no emulator.
std::vector<EmulationCost> emulation_costs();

}  // namespace gesso
