// In place of cuda/gpu.cpp in builds without nvcc.
#include "core/device.h"
#include "core/error.h"
#include "cuda/gpu.h"

namespace gesso::cuda {

void register_gpu() {
  register_device(DeviceKind::cuda, []() -> std::unique_ptr<Device> {
    fail(
        "device cuda is not part of this build: it was made without the CUDA toolkit; build preset cuda on a machine "
        "that has nvcc, or use --device cpu");
  });
}

}  // namespace gesso::cuda
