// What is kept of a step that stopped a run, so that it can be made again anywhere: <run>/dumps/step-<digits>/, whole
// or not there, as a checkpoint (train/checkpoint_store.h), which it is but for these:
//   weights, state, recent    as in a checkpoint, of the moment before the step; no moments
//   batch.safetensors         images [N,H,W,C], u8 or u16
//   config.json               the run's settings
//   step.json                 what happened (train/step_record.h)
#pragma once

#include <string>

#include "train/checkpoint.h"
#include "train/recipe.h"
#include "train/step_record.h"

namespace gesso {

// The directory's name has the step as people count, 1 for the first.
inline constexpr const char* kDumpsFolder = "dumps";
CheckpointStore step_dumps(const Path& run, FileSystem& files = posix_file_system());

struct StepDump {
  StepRecord record;
  Tensor images;       // [N,H,W,C]
  std::string config;  // as text_of(recipe)
};
// Keeps the last few; those of this step and later ones, of a past that was undone, go. What the files' tensors stand
// for is read here. Returns the directory. Throws ErrorKind::io where the system refuses.
Path write_step_dump(CheckpointStore store, const StepDump& dump, std::vector<StoredFile> files);

// A dump of that run; name: of its directory, empty: of the newest one. Throws ErrorKind::usage, listing what is there,
// where there is none of that name; ErrorKind::data where it is damaged or not what gesso writes; io.
VerifiedCheckpoint open_step_dump(const Path& run, const std::string& name);
// Its parts; the images on the CPU. Throws ErrorKind::data as above.
StepDump read_step_dump(const VerifiedCheckpoint& files);

}  // namespace gesso
