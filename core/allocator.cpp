#include "core/allocator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <utility>

#include "core/device.h"
#include "core/error.h"

namespace gesso {
namespace {

// Four classes a power of two: at most a quarter is wasted, and the sizes of a training step meet again.
std::size_t size_class(std::size_t bytes) {
  constexpr std::size_t kAlignment = 64;
  if (bytes <= 4 * kAlignment) return (std::max<std::size_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t step = std::bit_floor(bytes - 1) / 4;
  return (bytes + step - 1) / step * step;
}

}  // namespace

Allocator::~Allocator() { drop_cache(); }

// Of an open pool, what was not handed out yet: recorded work knows the rest.
void Allocator::drop_cache() {
  const auto drop = [&](std::size_t bytes, void* raw) {
    if (open_ && open_->used_.contains(raw)) return false;
    device_.release(raw, bytes);
    statistics_.cached_bytes -= bytes;
    return true;
  };
  for (auto& [bytes, blocks] : cache_) std::erase_if(blocks, [&](void* raw) { return drop(bytes, raw); });
  if (!open_) return;
  for (auto& [bytes, blocks] : open_->cache_) std::erase_if(blocks, [&](void* raw) { return drop(bytes, raw); });
}

void* Allocator::take(std::size_t block_bytes) {
  Cache& cache = open_ ? open_->cache_ : cache_;
  if (const auto it = cache.find(block_bytes); it != cache.end() && !it->second.empty()) {
    void* raw = it->second.back();
    it->second.pop_back();
    statistics_.cached_bytes -= block_bytes;
    return raw;
  }
  const auto over_limit = [&] {
    return limit_ != 0 && statistics_.live_bytes + statistics_.cached_bytes + block_bytes > limit_;
  };
  if (over_limit()) drop_cache();
  void* raw = over_limit() ? nullptr : device_.allocate(block_bytes);
  if (!raw && statistics_.cached_bytes != 0 && !over_limit()) {
    drop_cache();
    raw = device_.allocate(block_bytes);
  }
  if (raw) ++statistics_.device_allocations;
  return raw;
}

// Where the host has no memory to write down what is kept, the block goes back.
void Allocator::keep(Cache& cache, std::size_t block_bytes, void* raw) noexcept {
  try {
    cache[block_bytes].push_back(raw);
  } catch (const std::bad_alloc&) {
    if (&cache != &cache_) return;  // recorded work may touch it: it stays where it is
    statistics_.cached_bytes -= block_bytes;
    device_.release(raw, block_bytes);
  }
}

Allocator::Held& Allocator::holder_now() {
  const MemoryUse::Names now = MemoryUse::current();
  const std::tuple key(now.op, now.module, now.backward);
  const auto found = holders_.find(key);
  return found != holders_.end() ? found->second : holders_.emplace(key, Held()).first->second;
}

// Before less is live than at a new peak.
void Allocator::note_peak() {
  if (!at_new_peak_) return;
  for (auto& [names, held] : holders_) held.at_peak = held.bytes;
  at_new_peak_ = false;
}

void Allocator::fail_for_want_of(std::size_t bytes) const {
  constexpr std::size_t kShown = 3;
  const MemoryUse::Names asker = MemoryUse::current();
  std::string most;
  const std::vector<MemoryHolder> all = sorted_holders(&Held::bytes);
  for (std::size_t i = 0; i < std::min(kShown, all.size()); ++i)
    most += fmt::format("{} {} by {}", i == 0 ? ", the most of them:" : ",", all[i].bytes, all[i].text());
  fail(ErrorKind::memory, "{}: out of memory: {} bytes were asked for by {}, {} are in use{}{}", device_.name(), bytes,
       MemoryHolder{std::string(asker.op), std::string(asker.module), asker.backward}.text(), statistics_.live_bytes,
       limit_ ? fmt::format(" of the {} allowed", limit_) : std::string(), most);
}

void* Allocator::allocate(std::size_t bytes) {
  constexpr std::size_t kLargest = std::size_t{1} << 46;
  if (bytes > kLargest)
    fail(ErrorKind::memory, "{}: a request of {} bytes is beyond any memory", device_.name(), bytes);
  const std::lock_guard lock(mutex_);
  Held& holder = holder_now();
  const Block block{bytes, size_class(bytes + 2 * kGuardBytes), guard_, open_, &holder};
  auto* raw = static_cast<std::byte*>(take(block.bytes));
  if (!raw) fail_for_want_of(bytes);
  try {
    if (poison_) device_.fill_bytes(raw, kPoison, block.bytes);
    if (block.guarded) write_guard(raw, block);
    if (open_) open_->used_.insert(raw);
    live_.emplace(raw + kGuardBytes, block);
  } catch (...) {  // kept, not given back: recorded work may have used it before
    if (block.guarded && watch_) watch_(raw, block.bytes, true);
    statistics_.cached_bytes += block.bytes;
    keep(open_ ? open_->cache_ : cache_, block.bytes, raw);
    throw;
  }
  ++statistics_.allocations;
  statistics_.live_bytes += block.bytes;
  statistics_.peak_held_bytes =
      std::max(statistics_.peak_held_bytes, statistics_.live_bytes + statistics_.cached_bytes);
  holder.bytes += block.bytes;
  if (statistics_.live_bytes > statistics_.peak_bytes) {
    statistics_.peak_bytes = statistics_.live_bytes;
    at_new_peak_ = true;
  }
  return raw + kGuardBytes;
}

void Allocator::release(void* memory) noexcept {
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(memory);
  if (it == live_.end()) return;
  const Block block = it->second;
  note_peak();
  block.holder->bytes -= block.bytes;
  live_.erase(it);
  auto* raw = static_cast<std::byte*>(memory) - kGuardBytes;
  if (block.guarded && watch_) watch_(raw, block.bytes, true);
  if (open_ && !block.pool) {  // the pool holds it as it is: a fill would become part of the recorded work
    keep(open_->kept_, block.bytes, raw);
    return;
  }
  if (poison_ && (!open_ || block.pool == open_)) {
    try {
      device_.fill_bytes(raw, kPoison, block.bytes);
    } catch (const Error&) {  // a device that has failed says so to whoever asks it next
    }
  }
  if (block.pool && block.pool != open_) return keep(block.pool->cache_, block.bytes, raw);  // still live: the pool's
  statistics_.live_bytes -= block.bytes;
  statistics_.cached_bytes += block.bytes;
  keep(block.pool ? block.pool->cache_ : cache_, block.bytes, raw);
}

MemoryPool::MemoryPool(Allocator& allocator) : allocator_(allocator) { allocator_.open(*this); }
MemoryPool::~MemoryPool() { allocator_.dissolve(*this); }
void MemoryPool::close() { allocator_.close(*this); }

// The pool starts with all that is cached: memory that the same work used before it is recorded.
void Allocator::open(MemoryPool& pool) {
  const std::lock_guard lock(mutex_);
  if (open_) fail("{}: work is being recorded already; end that first", device_.name());
  open_ = &pool;
  std::swap(pool.cache_, cache_);
}

void Allocator::close(MemoryPool& pool) {
  const std::lock_guard lock(mutex_);
  if (open_ != &pool) return;
  open_ = nullptr;
  for (auto& [bytes, blocks] : pool.cache_) {
    const auto unused =
        std::partition(blocks.begin(), blocks.end(), [&](void* raw) { return pool.used_.contains(raw); });
    cache_[bytes].insert(cache_[bytes].end(), unused, blocks.end());
    blocks.erase(unused, blocks.end());
    statistics_.live_bytes += bytes * blocks.size();
    statistics_.cached_bytes -= bytes * blocks.size();
  }
  at_new_peak_ = at_new_peak_ || statistics_.live_bytes > statistics_.peak_bytes;
  statistics_.peak_bytes = std::max(statistics_.peak_bytes, statistics_.live_bytes);
}

void Allocator::dissolve(MemoryPool& pool) {
  close(pool);
  const std::lock_guard lock(mutex_);
  note_peak();
  for (const Cache* held : {&pool.cache_, &pool.kept_})
    for (const auto& [bytes, blocks] : *held) {
      cache_[bytes].insert(cache_[bytes].end(), blocks.begin(), blocks.end());
      statistics_.live_bytes -= bytes * blocks.size();
      statistics_.cached_bytes += bytes * blocks.size();
    }
  for (auto& [memory, block] : live_)
    if (block.pool == &pool) block.pool = nullptr;
}

void Allocator::write_guard(std::byte* raw, const Block& block) {
  for (std::byte* guard : {raw, raw + kGuardBytes + block.requested}) {
    device_.fill_bytes(guard, kPoison, kGuardBytes);
    if (watch_) watch_(guard, kGuardBytes, false);
  }
}

bool Allocator::guard_intact(const void* memory) const {
  const std::lock_guard lock(mutex_);
  const auto it = live_.find(memory);
  if (it == live_.end() || !it->second.guarded) return true;
  const auto* seen = static_cast<const std::byte*>(memory);
  const auto intact = [&](const std::byte* guard) {
    std::array<std::byte, kGuardBytes> bytes;
    device_.copy_to_host(bytes.data(), guard, kGuardBytes);
    return std::ranges::all_of(bytes, [](std::byte b) { return b == kPoison; });
  };
  return intact(seen - kGuardBytes) && intact(seen + it->second.requested);
}

MemoryStatistics Allocator::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}
void Allocator::reset_peak() {
  const std::lock_guard lock(mutex_);
  statistics_.peak_bytes = statistics_.live_bytes;
  statistics_.peak_held_bytes = statistics_.live_bytes + statistics_.cached_bytes;
  at_new_peak_ = true;
}
std::vector<MemoryHolder> Allocator::sorted_holders(std::size_t Held::*bytes) const {
  std::vector<MemoryHolder> sorted;
  for (const auto& [names, held] : holders_)
    if (held.*bytes != 0) sorted.push_back({std::get<0>(names), std::get<1>(names), std::get<2>(names), held.*bytes});
  std::ranges::stable_sort(sorted, std::greater(), &MemoryHolder::bytes);
  return sorted;
}
std::vector<MemoryHolder> Allocator::holders() const {
  const std::lock_guard lock(mutex_);
  return sorted_holders(&Held::bytes);
}
std::vector<MemoryHolder> Allocator::holders_at_peak() const {
  const std::lock_guard lock(mutex_);
  return sorted_holders(at_new_peak_ ? &Held::bytes : &Held::at_peak);
}
void Allocator::trim() {
  const std::lock_guard lock(mutex_);
  drop_cache();
}

}  // namespace gesso
