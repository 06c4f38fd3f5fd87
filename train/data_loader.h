// Batches for training, read ahead by threads of its own and delivered in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "train/augmentation.h"
#include "train/dataset.h"
#include "train/shuffle.h"

namespace gesso {

struct Batch {
  std::vector<std::int64_t> indices;  // [N], of the samples in the data set
  std::vector<std::uint8_t> images;   // bytes of [N,H,W,C] of the data set's type
  std::vector<std::int32_t> labels;   // [N]
};
// These samples in this order, as evaluation sees them.
Batch read_batch(const Dataset& dataset, std::vector<std::int64_t> indices);

struct DataLoaderOptions {
  std::int64_t first_step = 0;
  int threads = 1;   // 0: next() reads the batch itself
  int prefetch = 4;  // batches that wait ready at most
  Augmentation augmentation = {};
  double max_bad = 0;                    // share of the data set's files that may be bad
  const Dataset* other_split = nullptr;  // whose files count for that, too; must outlive the loader
};

// A file that could be used when the data set was opened may be gone or broken when its turn comes. Another sample
// takes its place in the batch, drawn by seed, step and position; all others stay.

class DataLoader {
 public:
  // The data set must outlive the loader. The order is one of the data set's places.
  DataLoader(const Dataset& dataset, const SampleOrder& order, const DataLoaderOptions& options = {});
  ~DataLoader();  // waits for the batches being read, no others
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  // The batch of first_step, then of the next step, and so on; the same for any number of threads. What went wrong in
  // reading a batch is thrown where that batch is due, each time it is asked for: ErrorKind::data where more than
  // max_bad of the files are bad by then.
  Batch next();
  // Why each sample could not be read that failed for the first time since the last call, in the order of the list.
  std::vector<std::string> newly_bad();

 private:
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr error;
  };
  Batch read(std::int64_t step);
  bool read_sample(std::int64_t step, std::int64_t place, std::size_t position, Batch& batch);
  void note_bad(std::int64_t place, const std::string& why);
  void work();
  void stop();
  Slot& slot(std::int64_t step) { return ring_[static_cast<std::size_t>(step) % ring_.size()]; }

  const Dataset& dataset_;
  SampleOrder order_;
  Augmentation augmentation_;
  double max_bad_;
  const Dataset* other_split_;
  std::mutex bad_mutex_;                              // guards the next three
  std::map<std::int64_t, std::string> bad_, untold_;  // by place; since the start, and since newly_bad()
  bool too_many_bad_ = false;
  std::mutex mutex_;  // guards all below but the threads
  std::condition_variable ready_, room_;
  std::int64_t next_step_;    // that next() delivers
  std::int64_t unread_step_;  // that no thread has taken yet
  bool stopping_ = false;
  std::vector<Slot> ring_;  // by step
  std::vector<std::thread> threads_;
};

}  // namespace gesso
