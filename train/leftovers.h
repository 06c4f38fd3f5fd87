// What earlier processes left in a run's directory that is no part of the run.
#pragma once

#include <cstdint>

#include "train/file_system.h"

namespace gesso {

// Of a run that goes on from `step`, or starts at 0, removes what was half written, and what shows steps that are to be
// made anew: pictures, and at the start all that a run which saved nothing said of itself, dumps too. A folder in which
// no run was started keeps what it has, whatever its name. What lies in `checkpoints` is cared for by
// CheckpointStore::prepare(), metrics.jsonl by MetricsFile. The caller has the run's lock. What cannot be removed
// stays; of dumps, with an ErrorKind::io.
void remove_leftovers(const Path& run, std::int64_t step, FileSystem& files);

}  // namespace gesso
