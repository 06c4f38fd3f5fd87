// The device `cuda`: in a build without nvcc, the error that says so.
#pragma once

namespace gesso::cuda {

// Adds the device and its kernels. Nothing is asked of the driver before the device is.
void register_gpu();

}  // namespace gesso::cuda
