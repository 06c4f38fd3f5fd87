// Caching allocator: memory that was used once is kept and handed out again, so that a training step never maps pages
// (fresh pages cost 5x a reused buffer above 32 MiB). One per device; safe to call from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/memory_use.h"

namespace gesso {

class Allocator;
class Device;

struct MemoryStatistics {
  std::size_t live_bytes = 0;            // handed out now, rounded to size classes; a closed pool's as a whole
  std::size_t peak_bytes = 0;            // the most that live_bytes has been since reset_peak()
  std::size_t cached_bytes = 0;          // kept for reuse
  std::size_t peak_held_bytes = 0;       // the most that both were together since reset_peak(): what the device gave
  std::uint64_t allocations = 0;         // all requests
  std::uint64_t device_allocations = 0;  // those that went to the device
};

// The memory of recorded work, which does its reads and writes again long after the tensors that it was given are gone.
// What the allocator hands out while a pool is open belongs to that pool, and to nobody else as long as the pool lives;
// so does what others were given before and release meanwhile, as the recorded work may read it. Pools must not outlive
// their allocator.
class MemoryPool {
 public:
  explicit MemoryPool(Allocator& allocator);  // opens it; throws where one is open already
  ~MemoryPool();                              // what it held is for everyone
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  void close();

 private:
  friend class Allocator;
  Allocator& allocator_;
  std::map<std::size_t, std::vector<void*>> cache_;  // as Allocator's
  std::map<std::size_t, std::vector<void*>> kept_;   // of others, released while this was open; not handed out
  std::unordered_set<const void*> used_;             // raw pointers that were handed out from here
};

class Allocator {
 public:
  // Behind (and before) what the caller sees lie this many guard bytes.
  static constexpr std::size_t kGuardBytes = 64;
  static constexpr std::byte kPoison{0xFF};  // NaN as floating point, -1 as integer

  explicit Allocator(Device& owner) : device_(owner) {}
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  // At least `bytes` bytes, 64-byte aligned, content unspecified. Zero bytes give a valid pointer too.
  // Throws ErrorKind::memory where device or limit refuse even after the cache was dropped, telling who asked and who
  // holds the most.
  void* allocate(std::size_t bytes);
  void release(void* memory) noexcept;

  // Poison mode: what is handed out is filled with kPoison first, and so is what comes back.
  void set_poison(bool on) { poison_ = on; }
  bool poison() const { return poison_; }
  // Guard mode: the guard bytes around a block are written at allocation, so guard_intact() can tell.
  void set_guard(bool on) { guard_ = on; }
  bool guard() const { return guard_; }
  // Whether the guard bytes before and behind this block are as written; true for a block made without guard mode.
  bool guard_intact(const void* memory) const;

  // Told which bytes of the device nobody may touch, the guard bytes of a block until it is released: for a device that
  // checks what its kernels touch.
  using Watch = void (*)(void* memory, std::size_t bytes, bool usable);
  void set_watch(Watch watch) { watch_ = watch; }

  // Refuses to have more than this many bytes live and cached together; 0: no limit.
  void set_limit(std::size_t bytes) { limit_ = bytes; }
  MemoryStatistics statistics() const;
  // What is handed out now, and what was when peak_bytes was reached, by who asked for it (core/memory_use.h); the
  // largest first. What only a pool holds is nobody's.
  std::vector<MemoryHolder> holders() const;
  std::vector<MemoryHolder> holders_at_peak() const;
  void reset_peak();
  // Returns cached memory to the device.
  void trim();

 private:
  friend class MemoryPool;
  using Cache = std::map<std::size_t, std::vector<void*>>;  // by block size: raw pointers
  struct Held {
    std::size_t bytes = 0, at_peak = 0;
  };
  struct Block {
    std::size_t requested = 0, bytes = 0;  // bytes: with both guards, as the device gave it
    bool guarded = false;
    MemoryPool* pool = nullptr;
    Held* holder = nullptr;
  };
  void* take(std::size_t block_bytes);
  void keep(Cache& cache, std::size_t block_bytes, void* raw) noexcept;
  Held& holder_now();
  void note_peak();
  std::vector<MemoryHolder> sorted_holders(std::size_t Held::*bytes) const;
  [[noreturn]] void fail_for_want_of(std::size_t bytes) const;
  void drop_cache();
  void write_guard(std::byte* raw, const Block& block);
  void open(MemoryPool& pool);
  void close(MemoryPool& pool);
  void dissolve(MemoryPool& pool);

  Device& device_;
  mutable std::mutex mutex_;
  std::unordered_map<const void*, Block> live_;  // by the pointer that the caller sees
  Cache cache_;
  std::map<std::tuple<std::string, std::string, bool>, Held, std::less<>> holders_;  // by op, module, backward
  bool at_new_peak_ = false;                                                         // Held::at_peak is not of it yet
  MemoryPool* open_ = nullptr;
  MemoryStatistics statistics_;
  std::size_t limit_ = 0;
  Watch watch_ = nullptr;
  bool poison_ = false, guard_ = false;
};

}  // namespace gesso
