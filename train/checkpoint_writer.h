// Saves checkpoints beside the training: the state is copied at a step's end, a thread writes it. One save at a time,
// in the order asked for: a save that comes due while the one before is still written waits for it, so which steps are
// saved depends on no clock. What cannot be saved is told, not thrown: training goes on.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "train/checkpoint.h"

namespace gesso {

// A save that ended.
struct SaveReport {
  std::int64_t step = 0;
  Path directory = {};       // empty: it is not saved
  std::string problem = {};  // empty: all went well
  bool in_doubt = false;     // saved, but perhaps not on disk: a power cut might take it
};

class CheckpointWriter {
 public:
  // Into a store that is prepared; `keep` as in keep_newest(). What the files' tensors stand for must live longer.
  CheckpointWriter(const CheckpointStore& store, std::int64_t keep, std::vector<StoredFile> files);
  ~CheckpointWriter();  // after the save that is under way
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Copies the state after `step` steps and returns; waits for the save before.
  void start(std::int64_t step);
  // Those that ended since the last call, oldest first.
  std::vector<SaveReport> reports();
  void wait();  // until nothing is being written

 private:
  void work();
  SaveReport save();

  CheckpointStore store_;
  std::int64_t keep_;
  CheckpointSnapshot snapshot_;  // the thread's while busy_, else the caller's

  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, stop_ = false;
  std::vector<SaveReport> reports_;
  std::thread thread_;
};

}  // namespace gesso
