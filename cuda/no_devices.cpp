// In place of cuda/devices.cpp where this folder is not built: under sanitizers, whose functions the emulator has of
// its own.
#include "core/error.h"
#include "cuda/devices.h"

namespace gesso {
namespace {

// Of devices that this build does not know, device() says so itself.
[[noreturn]] void fail_without(DeviceKind kind) {
  (void)device(kind);
  fail("device {} has no kernels in a build with sanitizers", name_of(kind));
}

}  // namespace

void register_cuda_devices() {}

check::DeviceUnderCheck device_under_check(DeviceKind kind) { fail_without(kind); }

DeviceUnderBench device_under_bench(DeviceKind kind) { fail_without(kind); }

std::vector<EmulationCost> emulation_costs() {
  fail("bench emulator: the emulator is not part of a build with sanitizers");
}

}  // namespace gesso
