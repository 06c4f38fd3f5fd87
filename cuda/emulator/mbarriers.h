// mbarriers as the copy engine completes them.
#pragma once

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

Mbarrier& mbarrier_at(const std::uint64_t* barrier, const Place& place);  // stops where it was not initialised
void flip_if_complete(Mbarrier& barrier);

}  // namespace gesso::emulator
