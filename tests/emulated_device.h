// The emulator for tests of kernels that run there without the device of the house: memory, schedules.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "core/error.h"
#include "cuda/emulator/emulator.h"

namespace gesso {

template <class T>
class EmulatedMemory {
 public:
  explicit EmulatedMemory(std::size_t count)
      : count_(count), data_(static_cast<T*>(emulator::allocate(count * sizeof(T)))) {
    if (!data_) fail(ErrorKind::memory, "test: no {} elements of emulated memory", count);
  }
  explicit EmulatedMemory(const std::vector<T>& values) : EmulatedMemory(values.size()) {
    emulator::copy(data_, values.data(), count_ * sizeof(T));
  }
  ~EmulatedMemory() {
    try {
      release();
    } catch (const Error& error) {
      FAIL_CHECK(error.what());
    }
  }
  EmulatedMemory(const EmulatedMemory&) = delete;
  EmulatedMemory& operator=(const EmulatedMemory&) = delete;

  void release() {
    T* data = data_;
    data_ = nullptr;
    emulator::release(data);
  }
  T* data() const { return data_; }
  std::vector<T> to_host() const {
    std::vector<T> values(count_);
    emulator::copy(values.data(), data_, count_ * sizeof(T));
    return values;
  }

 private:
  std::size_t count_;
  T* data_;
};

// The emulator's options as they were before, when a test is over.
class KeepOptions {
 public:
  KeepOptions() = default;
  ~KeepOptions() { emulator::options() = saved_; }
  KeepOptions(const KeepOptions&) = delete;
  KeepOptions& operator=(const KeepOptions&) = delete;

 private:
  emulator::Options saved_ = emulator::options();
};

// Runs the body under each order of threads and blocks, by one OS thread and by two. The checker knows more than one
// schedule shows: with it, once.
template <class Body>
void under_all_schedules(Body&& body) {
  if (emulator::is_checked()) return body();
  const KeepOptions keep;
  for (const emulator::Order order : {emulator::Order::fifo, emulator::Order::lifo, emulator::Order::random})
    for (const unsigned workers : {1u, 2u}) {
      CAPTURE(static_cast<int>(order));
      CAPTURE(workers);
      emulator::options().threads = emulator::options().blocks = order;
      emulator::options().workers = workers;
      body();
    }
}

}  // namespace gesso
