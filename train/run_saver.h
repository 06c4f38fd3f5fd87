// The checkpoints of one run: when one is due, what becomes of it, and that the run ends with its last step saved.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "train/checkpoint_writer.h"
#include "train/recipe.h"
#include "train/run_log.h"

namespace gesso {

class RunSaver {
 public:
  // Into a store that is prepared; newest: the checkpoint that the run goes on from, step 0: none. What fails is told
  // on the line. All must live longer.
  RunSaver(const CheckpointStore& store, const CheckpointOptions& options, std::vector<StoredFile> files,
           const Checkpoint& newest, ProgressLine& line);

  bool due(std::int64_t step) const;
  void postpone(std::int64_t step) { retry_step_ = step + 1; }  // what is due then, to the next step
  // Copies the state after `step` steps; a thread writes it. Waits for the save before.
  void start(std::int64_t step);
  std::int64_t newest_started() const { return saving_step_; }
  // What became of saves by now, after `step` steps. After one that failed the next is due 1, 2, 4, ... steps later, at
  // most an interval; where a newer one is under way already, that is the next.
  void tell(std::int64_t step);
  void settle(std::int64_t step);  // the same, once nothing is being written
  // The run ends after `step` steps: what fails only once must not spoil that. Throws ErrorKind::io where that step
  // cannot be saved.
  void finish(std::int64_t step);

  std::int64_t take_failures() { return std::exchange(failures_, 0); }  // told since the last call
  const Checkpoint& newest() const { return newest_; }                  // that is saved
  std::string newest_text() const { return newest_.step == 0 ? "none" : newest_.directory.string(); }

 private:
  CheckpointStore store_;
  CheckpointOptions options_;
  CheckpointWriter writer_;
  Checkpoint newest_;
  ProgressLine& line_;
  bool in_doubt_ = false;                          // whether the newest might not be on disk
  std::int64_t saving_step_ = 0;                   // of the newest save that was started
  std::int64_t retry_step_ = 0, retry_pause_ = 1;  // when one that failed or was postponed is due; 0: none
  std::int64_t failures_ = 0;
  std::string problem_;  // of the save that ended last
};

}  // namespace gesso
