// What memory a training run takes, found out before it starts: its parts are made and its steps done on a dry device
// (core/device.h), through the allocator that the run itself will use. And what is said where memory is short.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"
#include "train/files.h"
#include "train/recipe.h"

namespace gesso {

struct PlannedRun {
  const Recipe& recipe;       // its image shape resolved
  DType images = DType::u8;   // as the data set has them
  std::int64_t pictures = 0;  // that are made at a time between steps; 0: none
  const Device& device = gesso::device(DeviceKind::cpu);
  bool replay = true;  // as StepOptions
};

struct PredictedMemory {
  std::size_t peak_bytes = 0;         // MemoryStatistics::peak_bytes of the device
  std::size_t held_bytes = 0;         // its peak_held_bytes: what the device must have
  std::size_t snapshot_bytes = 0;     // of the host: a copy of all that a checkpoint holds
  std::size_t host_bytes = 0;         // besides, of the host: copies to save and to look at, batches, and a margin
  std::size_t available_bytes = 0;    // for it, when this was predicted: of the device, with what its allocator keeps
  std::vector<MemoryHolder> holders;  // at the peak, the largest first

  std::string largest() const;  // "conv2d in encoder.down.0 12.3 MiB, ..."
};

// Allocates nothing on the device and runs no kernel. What kernels ask for inside what their pool runs (attention, and
// products of many matrices) is not in it.
PredictedMemory predict_memory(const PlannedRun& run);

// The prediction. Throws ErrorKind::memory where the machine has not that much now: what is needed, what there is, who
// would hold the most, and the largest batch that fits.
PredictedMemory predict_memory_that_fits(const PlannedRun& run);

// Does `work`. Where memory runs out in it, by an Error, std::bad_alloc or a thread that cannot be started, the
// ErrorKind::memory that is thrown tells that and where, what was predicted, what helps, and what the run that lies in
// `directory` has saved.
void tell_want_of_memory(const PlannedRun& run, const PredictedMemory& predicted, const Path& directory,
                         const std::function<void()>& work);

}  // namespace gesso
