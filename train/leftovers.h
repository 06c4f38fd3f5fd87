// What killed processes left half written in a run's directory.
#pragma once

#include "train/file_system.h"

namespace gesso {

// Removes it, but what lies in `checkpoints` and `dumps`, which CheckpointStore::prepare() cares for. The caller has
// the run's lock. What cannot be removed stays.
void remove_leftovers(const Path& run);

}  // namespace gesso
