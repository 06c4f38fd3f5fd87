#include "train/data_loader.h"

#include <utility>

#include "core/error.h"
#include "train/bad_files.h"
#include "train/text.h"

namespace gesso {

Batch read_batch(const Dataset& dataset, std::vector<std::int64_t> indices) {
  const auto image_bytes = dataset.image_bytes();
  Batch batch;
  batch.indices = std::move(indices);
  batch.images.resize(batch.indices.size() * image_bytes);
  batch.labels.resize(batch.indices.size());
  for (std::size_t i = 0; i < batch.indices.size(); ++i)
    dataset.read(batch.indices[i], std::span(batch.images).subspan(i * image_bytes, image_bytes), batch.labels[i]);
  return batch;
}

DataLoader::DataLoader(const Dataset& dataset, const SampleOrder& order, const DataLoaderOptions& options)
    : dataset_(dataset),
      order_(order),
      augmentation_(options.augmentation),
      max_bad_(options.max_bad),
      other_split_(options.other_split),
      next_step_(options.first_step),
      unread_step_(options.first_step) {
  constexpr int kMost = 1024;
  if (options.threads < 0 || options.threads > kMost || options.prefetch < 1 || options.prefetch > kMost)
    fail("loader: {} threads and {} batches ahead; 0 to {} and 1 to {} are possible", options.threads, options.prefetch,
         kMost, kMost);
  if (options.first_step < 0) fail("loader: no batch for step {}", options.first_step);
  ring_.resize(static_cast<std::size_t>(options.prefetch));
  try {
    for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { work(); });
  } catch (...) {
    stop();  // there is no destructor yet that would
    throw;
  }
}

DataLoader::~DataLoader() { stop(); }

void DataLoader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Batch DataLoader::read(std::int64_t step) {
  const std::vector<std::int64_t> places = order_(step);
  Batch batch;
  batch.indices.resize(places.size());
  batch.images.resize(places.size() * dataset_.image_bytes());
  batch.labels.resize(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::int64_t place = places[i];
    for (std::int64_t attempt = 1; !read_sample(step, place, i, batch); ++attempt)
      place = order_.substitute(step, static_cast<std::int64_t>(i), attempt);
  }
  return batch;
}

// False where no sample can be had there.
bool DataLoader::read_sample(std::int64_t step, std::int64_t place, std::size_t position, Batch& batch) {
  const std::optional<std::int64_t> sample = dataset_.sample_at(place);
  if (!sample) return false;
  const std::size_t bytes = dataset_.image_bytes();
  try {
    dataset_.read(*sample, augmentation_.view(step, place), std::span(batch.images).subspan(position * bytes, bytes),
                  batch.labels[position]);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::io) throw;
    note_bad(place, escaped(error.what()));
    return false;
  }
  batch.indices[position] = *sample;
  return true;
}

// Throws where it is one too many.
void DataLoader::note_bad(std::int64_t place, const std::string& why) {
  const std::lock_guard lock(bad_mutex_);
  const bool is_new = bad_.emplace(place, why).second;
  if (!is_new && !too_many_bad_) return;
  if (is_new) untold_.emplace(place, why);
  std::vector<std::string> reasons;
  for (const auto& [unused, reason] : bad_) reasons.push_back(reason);
  const bool all = std::ssize(reasons) == dataset_.size();  // there is none left to take
  std::int64_t files = 0;
  for (const Dataset* split : {&dataset_, other_split_}) {
    if (split == nullptr) continue;
    reasons.insert(reasons.end(), split->skipped().begin(), split->skipped().end());
    files += split->places();
  }
  too_many_bad_ = true;
  check_bad_files(dataset_.name(), reasons, files, all ? 0 : max_bad_,
                  "bring them back as they were; where the run has saved a step, --resume goes on from there");
  too_many_bad_ = false;
}

std::vector<std::string> DataLoader::newly_bad() {
  const std::lock_guard lock(bad_mutex_);
  std::vector<std::string> reasons;
  for (const auto& [unused, reason] : std::exchange(untold_, {})) reasons.push_back(reason);
  return reasons;
}

void DataLoader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    room_.wait(lock, [&] { return stopping_ || unread_step_ < next_step_ + static_cast<std::int64_t>(ring_.size()); });
    if (stopping_) return;
    const std::int64_t step = unread_step_++;
    lock.unlock();
    Slot filled;
    try {
      filled.batch = read(step);
    } catch (...) {
      filled.error = std::current_exception();
    }
    lock.lock();
    slot(step) = std::move(filled);
    ready_.notify_one();
  }
}

Batch DataLoader::next() {
  if (threads_.empty()) {
    Batch batch = read(next_step_);
    ++next_step_;
    return batch;
  }
  std::unique_lock lock(mutex_);
  Slot& due = slot(next_step_);
  ready_.wait(lock, [&] { return due.batch || due.error; });
  if (due.error) std::rethrow_exception(due.error);
  Batch batch = std::move(*due.batch);
  due.batch.reset();
  ++next_step_;
  lock.unlock();
  room_.notify_one();
  return batch;
}

}  // namespace gesso
