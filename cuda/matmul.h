// matmul on the kernels of cuda/product.h.
#pragma once

#include "core/device.h"

namespace gesso::cuda {

void register_matmul(DeviceKind device);

}  // namespace gesso::cuda
