#include "cuda/devices.h"

#include <memory>

#include "cuda/device.h"
#include "cuda/emulator/emulator.h"
#include "cuda/gpu.h"
#include "cuda/kernel_list.h"

namespace gesso {
namespace {

std::function<void()> schedule(emulator::Order order) {
  return [order] { emulator::options().threads = emulator::options().blocks = order; };
}

}  // namespace

void register_cuda_devices() {
  register_device(DeviceKind::emulated, [] {
    emulator::set_guard(true);  // a host that reads device memory does so here as well as on a GPU: not at all
    return std::make_unique<cuda::CudaDevice>(DeviceKind::emulated, cuda::emulated_runtime());
  });
  cuda::register_all_kernels<cu::Emulated>(DeviceKind::emulated);
  cuda::register_gpu();
}

check::DeviceUnderCheck device_under_check(DeviceKind kind) {
  if (kind != DeviceKind::emulated && kind != DeviceKind::cuda)
    fail("device {} has no kernels of its own to check; take cuda or emulated", name_of(kind));
  const auto& runtime = static_cast<const cuda::CudaDevice&>(device(kind)).runtime();
  check::DeviceUnderCheck device;
  device.kind = kind;
  device.launches = runtime.launches;
  if (kind == DeviceKind::cuda) {
    device.most_elements = 1e9;
    device.most_flops = 1e12;
    return device;
  }
  if (emulator::is_checked()) {  // ten to a hundred times slower; what orders could show, it finds in one
    device.keep_small_cases();
    return device;
  }
  // The emulator takes some 30 ns a thread, and runs kernels at one operation a nanosecond.
  device.most_elements = 1 << 15;
  device.most_flops = 1e7;
  device.schedules = {{"first come, first served", schedule(emulator::Order::fifo)},
                      {"last come, first served", schedule(emulator::Order::lifo)},
                      {"in random order", schedule(emulator::Order::random)}};
  return device;
}

}  // namespace gesso
