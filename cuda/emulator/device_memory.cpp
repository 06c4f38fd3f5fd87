// The emulated device's memory: a range of addresses that is reserved once. New allocations take new addresses as long
// as there are any, so that a stale pointer meets poison and the checker, not somebody else's data.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "core/error.h"
#include "cuda/emulator/scheduler.h"
#include "cuda/emulator/usable_memory.h"

namespace gesso::emulator {
namespace {

constexpr std::size_t kGranule = 256;  // alignment, and the least red zone

class DeviceMemory {
 public:
  static DeviceMemory& instance() {
    static DeviceMemory memory;
    return memory;
  }
  std::byte* base() const { return range_.data(); }
  void* allocate(std::size_t bytes);
  void release(void* memory);
  void check_range(const void* memory, std::size_t bytes) const;
  std::string describe(const void* memory) const;
  void set_guard(bool on);
  bool guarded() const { return guarded_; }
  void open();
  void close();

 private:
  struct Allocation {
    std::size_t bytes, span;  // asked for; with padding and red zone
  };
  DeviceMemory() : range_(kDeviceBytes) {}
  // The allocation that begins at or before this offset.
  std::map<std::size_t, Allocation>::const_iterator before(std::size_t offset) const;
  std::size_t find_space(std::size_t span);  // kDeviceBytes where there is none
  void add_free(std::size_t offset, std::size_t span);
  void protect(int access) const { mprotect(range_.data(), (top_ + 4095) / 4096 * 4096, access); }

  MappedMemory range_;
  mutable std::recursive_mutex mutex_;
  std::map<std::size_t, Allocation> live_;       // by offset
  std::map<std::size_t, std::size_t> free_;      // offset to span; neighbours are joined
  std::size_t top_ = kGranule, live_bytes_ = 0;  // nothing lies at offset 0
  std::size_t limit_ = std::min(kDeviceBytes, static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                                                  static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE)) / 2);
  int users_ = 0;  // launches and copies in progress
  bool guarded_ = false;
};

std::size_t DeviceMemory::find_space(std::size_t span) {
  if (span <= kDeviceBytes - top_) {
    const std::size_t offset = top_;
    top_ += span;
    return offset;
  }
  for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
    const auto [offset, bytes] = *gap;
    if (bytes < span) continue;
    free_.erase(gap);
    if (bytes > span) free_.emplace(offset + span, bytes - span);
    return offset;
  }
  return kDeviceBytes;
}

void* DeviceMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ - live_bytes_) return nullptr;
  const HostAccess access;
  const std::size_t span = (bytes + kGranule - 1) / kGranule * kGranule + kGranule;
  const std::size_t offset = find_space(span);
  if (offset == kDeviceBytes) return nullptr;
  live_bytes_ += bytes;
  live_[offset] = {bytes, span};
  open();  // what is new of the range
  poison(base() + offset, span);
  close();
  if (checker.set_usable) checker.set_usable(offset, bytes, true);
  return base() + offset;
}

void DeviceMemory::release(void* memory) {
  const std::lock_guard lock(mutex_);
  const std::size_t offset = static_cast<std::size_t>(static_cast<std::byte*>(memory) - base());
  const auto found = live_.find(offset);
  if (found == live_.end()) fail("emulator: release of {}, which is not allocated", memory);
  const auto [bytes, span] = found->second;
  const HostAccess access;
  const bool intact = is_poison(base() + offset + bytes, span - bytes);
  poison(base() + offset, span);
  if (checker.set_usable) checker.set_usable(offset, bytes, false);
  live_.erase(found);
  live_bytes_ -= bytes;
  add_free(offset, span);
  if (!intact) fail("emulator: a kernel wrote past the end of an allocation of {} bytes", bytes);
}

void DeviceMemory::add_free(std::size_t offset, std::size_t span) {
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && offset + span == next->first) {
    span += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin() && std::prev(next)->first + std::prev(next)->second == offset) {
    std::prev(next)->second += span;
    offset = std::prev(next)->first;
    span = std::prev(next)->second;
  } else {
    free_.emplace(offset, span);
  }
  // The newest goes back to the unused part: loops that allocate and release stay where they are.
  if (offset + span != top_) return;
  free_.erase(offset);
  top_ = offset;
}

std::map<std::size_t, DeviceMemory::Allocation>::const_iterator DeviceMemory::before(std::size_t offset) const {
  const auto next = live_.upper_bound(offset);
  return next == live_.begin() ? live_.end() : std::prev(next);
}

void DeviceMemory::check_range(const void* memory, std::size_t bytes) const {
  if (!range_.contains(memory) || bytes == 0) return;
  const std::lock_guard lock(mutex_);
  const std::size_t offset = static_cast<std::size_t>(static_cast<const std::byte*>(memory) - base());
  const auto found = before(offset);
  if (found == live_.end() || offset + bytes > found->first + found->second.bytes)
    fail("emulator: {} bytes at {} do not lie within an allocation", bytes, describe(memory));
}

std::string DeviceMemory::describe(const void* memory) const {
  const std::size_t offset = static_cast<std::size_t>(static_cast<const std::byte*>(memory) - base());
  const auto found = before(offset);
  if (found == live_.end() || offset >= found->first + found->second.span)
    return fmt::format("device memory {} outside any allocation", memory);
  return fmt::format("device memory {}, byte {} of an allocation of {}", memory, offset - found->first,
                     found->second.bytes);
}

void DeviceMemory::set_guard(bool on) {
  const std::lock_guard lock(mutex_);
  guarded_ = on;
  if (users_ == 0) protect(on ? PROT_NONE : PROT_READ | PROT_WRITE);
}

void DeviceMemory::open() {
  const std::lock_guard lock(mutex_);
  if (guarded_) protect(PROT_READ | PROT_WRITE);
  ++users_;
}

void DeviceMemory::close() {
  const std::lock_guard lock(mutex_);
  if (--users_ == 0 && guarded_) protect(PROT_NONE);
}

}  // namespace

HostAccess::HostAccess() { DeviceMemory::instance().open(); }
HostAccess::~HostAccess() { DeviceMemory::instance().close(); }

std::byte* device_base() { return DeviceMemory::instance().base(); }
std::string describe_device_address(const void* memory) { return DeviceMemory::instance().describe(memory); }

void* allocate(std::size_t bytes) { return DeviceMemory::instance().allocate(bytes); }

void release(void* memory) {
  if (memory) DeviceMemory::instance().release(memory);
}

void copy(void* to, const void* from, std::size_t bytes) {
  DeviceMemory::instance().check_range(to, bytes);
  DeviceMemory::instance().check_range(from, bytes);
  const HostAccess access;
  if (bytes) std::memmove(to, from, bytes);
}

void fill(void* to, std::byte value, std::size_t bytes) {
  DeviceMemory::instance().check_range(to, bytes);
  const HostAccess access;
  if (bytes) std::memset(to, std::to_integer<int>(value), bytes);
}

void set_usable(void* memory, std::size_t bytes, bool usable) {
  if (checker.set_usable)
    checker.set_usable(static_cast<std::size_t>(static_cast<std::byte*>(memory) - device_base()), bytes, usable);
}

bool is_device_memory(const void* memory) {
  return reinterpret_cast<std::uintptr_t>(memory) - reinterpret_cast<std::uintptr_t>(device_base()) < kDeviceBytes;
}

void set_guard(bool on) {
  if (on) catch_crashes();
  DeviceMemory::instance().set_guard(on);
}

bool guard() { return DeviceMemory::instance().guarded(); }

}  // namespace gesso::emulator
