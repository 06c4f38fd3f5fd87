// Checkpoints: a directory of safetensors files, one a role, with the same parameter names in each. It appears under
// its name whole or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nn/optimizer.h"
#include "nn/param_store.h"
#include "train/files.h"

namespace gesso {

// checkpoints/step-<digits>/
//   weights.safetensors       the trained parameters
//   state.safetensors         codebooks, running statistics
//   moment1, moment2          the optimiser's, where it has them
//   ema.safetensors           the weights' moving average, where there is one
// Each file's metadata say the step: how many steps were done.
struct Checkpoint {
  std::int64_t step = 0;
  Path directory;
};

// Under <run>/checkpoints, by rising step; what is not named as a finished checkpoint does not count.
std::vector<Checkpoint> list_checkpoints(const Path& run);
// Throws ErrorKind::data, saying where it looked, where there is none.
Checkpoint latest_checkpoint(const Path& run);

// Writes all tensors of store and optimiser after `step` steps; a checkpoint of that step is left as it is.
Checkpoint save_checkpoint(const Path& run, std::int64_t step, const nn::ParamStore& store,
                           const nn::Optimizer& optimizer);

// Overwrites store and optimiser. Throws ErrorKind::data, listing missing, unexpected and misshaped tensors together,
// before anything is overwritten.
void load_checkpoint(const Checkpoint& checkpoint, const nn::ParamStore& store, const nn::Optimizer& optimizer);
// Only what inference needs: the weights (or their moving average where the checkpoint has one and `average` is set)
// and state.
void load_weights(const Checkpoint& checkpoint, const nn::ParamStore& store, bool average);

// Removes the oldest, all but the newest `keep`; 0 keeps all.
void prune_checkpoints(const Path& run, std::int64_t keep);

}  // namespace gesso
