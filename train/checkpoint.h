// A model's tensors as the files of a checkpoint: one safetensors file a role, the same parameter names in each, so
// that others' programs read them. How they get to disk and back, and survive: train/checkpoint_store.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nn/optimizer.h"
#include "nn/param_store.h"
#include "train/checkpoint_store.h"
#include "train/safetensors.h"

namespace gesso {

// <run>/checkpoints/step-<digits>/
//   weights.safetensors       the trained parameters
//   state.safetensors         codebooks, running statistics
//   moment1, moment2          the optimiser's, where it has them
//   ema.safetensors           the weights' moving average, where there is one
//   recent.safetensors        losses and gradient norms of the steps before (nn/step_gate.h)
//   recent_codes.safetensors  the codes that the log speaks of, where the model has some (Task::recent_codes)
//   manifest.json             step, sizes and checksums
// Each file's metadata say the step, too.
CheckpointStore checkpoint_store(const Path& run, FileSystem& files = posix_file_system());

// Of a run's store; see there.
std::vector<Checkpoint> list_checkpoints(const Path& run);

// A tensor as a file of a checkpoint names it, and where its value lies.
struct StoredTensor {
  std::string name;
  Tensor value;
  nn::DiskOrder order = nn::DiskOrder::same;
};
struct StoredFile {
  std::string name;
  std::vector<StoredTensor> tensors;
  bool optional = false;  // checkpoints of older versions lack it
};
// All that training goes on from. recent_codes: empty where there are none.
std::vector<StoredFile> training_files(const nn::ParamStore& store, const nn::Optimizer& optimizer,
                                       const Tensor& recent_codes);
// What a step computes from, and by what it is judged: weights, state, the steps before.
std::vector<StoredFile> step_files(const nn::ParamStore& store, const nn::Optimizer& optimizer);
// Of a checkpoint of these, and of the snapshot that it is written from.
std::size_t checkpoint_bytes(std::span<const StoredFile> files);

// The state of one moment, in memory of the host that is taken once: training goes on while it is written.
class CheckpointSnapshot {
 public:
  // What the tensors stand for must live longer.
  explicit CheckpointSnapshot(std::vector<StoredFile> files);

  // Copies all tensors, after `step` steps. Waits for the device.
  void take(std::int64_t step);
  std::int64_t step() const { return step_; }
  // What was taken last. They lie in this snapshot.
  std::vector<CheckpointFile> files() const;

 private:
  struct Role {
    std::string file;
    std::vector<StoredTensor> tensors;           // in the order of their data
    std::vector<SafetensorsEntry> entries = {};  // as they were declared, without data
    std::string head = {};
    std::vector<std::byte> data = {};
  };
  std::int64_t step_ = -1;
  std::vector<Role> roles_;
};

// Overwrites the files' tensors, which are the store's and others. Throws ErrorKind::data, listing missing, unexpected
// and misshaped tensors together, before anything is overwritten.
void load_checkpoint(const VerifiedCheckpoint& checkpoint, const nn::ParamStore& store, std::vector<StoredFile> files);
// Only what inference needs: the weights (or their moving average where the checkpoint has one) and state.
void load_weights(const VerifiedCheckpoint& checkpoint, const nn::ParamStore& store);
bool is_wanted_for_inference(std::string_view file, const Manifest& manifest);

}  // namespace gesso
