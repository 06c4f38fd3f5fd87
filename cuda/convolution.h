// conv2d and conv_transpose2d on the kernels of cuda/product.h.
#pragma once

#include "core/device.h"

namespace gesso::cuda {

void register_convolutions(DeviceKind device);

}  // namespace gesso::cuda
