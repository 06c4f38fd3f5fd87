#include "train/checkpoint_writer.h"

#include <exception>
#include <iterator>
#include <utility>

#include "train/text.h"

namespace gesso {

CheckpointWriter::CheckpointWriter(const CheckpointStore& store, std::int64_t keep, std::vector<StoredFile> files)
    : store_(store), keep_(keep), snapshot_(std::move(files)), thread_([this] { work(); }) {}

CheckpointWriter::~CheckpointWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CheckpointWriter::start(std::int64_t step) {
  wait();
  snapshot_.take(step);
  {
    const std::lock_guard lock(mutex_);
    reports_.reserve(reports_.size() + 1);  // here, where a want of memory can be thrown
    busy_ = true;
  }
  changed_.notify_all();
}

std::vector<SaveReport> CheckpointWriter::reports() {
  const std::lock_guard lock(mutex_);
  std::vector<SaveReport> ended(std::move_iterator(reports_.begin()), std::move_iterator(reports_.end()));
  reports_.clear();  // and stays as large, for the save that may be under way
  return ended;
}

void CheckpointWriter::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
}

void CheckpointWriter::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return busy_ || stop_; });
    if (!busy_) return;
    lock.unlock();
    SaveReport report = save();
    lock.lock();
    reports_.push_back(std::move(report));
    busy_ = false;
    changed_.notify_all();
  }
}

// Nothing leaves the thread but a report: not even the want of memory may end a run here.
SaveReport CheckpointWriter::save() {
  SaveReport report{.step = snapshot_.step()};
  try {
    CheckpointStore::Saved saved = store_.save(report.step, snapshot_.files());
    report.in_doubt = !saved.doubt.empty();
    report.directory = std::move(saved.directory);
    report.problem = std::move(saved.doubt);
    if (!report.in_doubt) store_.keep_newest(keep_);
  } catch (const std::exception& error) {
    report.problem = words_of(error);
  }
  return report;
}

}  // namespace gesso
