// Kernels on devices that the rows know nothing of (cuda, emulated), found by device and op.
#pragma once

#include <string_view>

#include "ops/op.h"

namespace gesso {

// Registered once, at program start. op: the row's name, a string that lives as long as the program. Throws where that
// op has kernels on that device already.
void register_kernels(DeviceKind device, std::string_view op, const Kernels& kernels);
// Null where there are none.
const Kernels* registered_kernels(DeviceKind device, std::string_view op);

}  // namespace gesso
