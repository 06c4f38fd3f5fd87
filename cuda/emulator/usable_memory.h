// Which parts of an allocation kernels may touch: all, unless the host says otherwise. Only a checked program looks.
#pragma once

#include <cstddef>

namespace gesso::emulator {

void set_usable(void* memory, std::size_t bytes, bool usable);

}  // namespace gesso::emulator
