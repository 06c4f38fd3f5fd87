#include "train/data_loader.h"

#include <utility>

#include "core/error.h"

namespace gesso {

Batch read_batch(const Dataset& dataset, std::vector<std::int64_t> indices, std::span<const View> views) {
  const auto image_bytes = dataset.image_bytes();
  Batch batch;
  batch.indices = std::move(indices);
  batch.images.resize(batch.indices.size() * image_bytes);
  batch.labels.resize(batch.indices.size());
  for (std::size_t i = 0; i < batch.indices.size(); ++i)
    dataset.read(batch.indices[i], views.empty() ? View() : views[i],
                 std::span(batch.images).subspan(i * image_bytes, image_bytes), batch.labels[i]);
  return batch;
}

DataLoader::DataLoader(const Dataset& dataset, const SampleOrder& order, const DataLoaderOptions& options)
    : dataset_(dataset),
      order_(order),
      augmentation_(options.augmentation),
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

Batch DataLoader::read(std::int64_t step) const {
  std::vector<std::int64_t> indices = order_(step);
  std::vector<View> views;
  for (const std::int64_t index : indices) views.push_back(augmentation_.view(step, index));
  return read_batch(dataset_, std::move(indices), views);
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
