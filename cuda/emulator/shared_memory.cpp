// A block's shared memory and cp.async. What was not written is NaN; what a copy will overwrite is NaN until a wait
// lets the copy happen, so code that reads early, or overwrites what is still in use, computes visibly wrong values.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

MappedMemory::MappedMemory(std::size_t bytes) : bytes_(bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    fail(ErrorKind::memory,
         "emulator: the system refuses {} bytes of address space ({}); see ulimit -v and vm.overcommit_memory", bytes,
         std::strerror(errno));
  data_ = static_cast<std::byte*>(mapped);
}

MappedMemory::~MappedMemory() {
  if (data_) munmap(data_, bytes_);
}

void MappedMemory::swap(MappedMemory& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
}

void MappedMemory::forbid(std::size_t offset, std::size_t bytes) { mprotect(data_ + offset, bytes, PROT_NONE); }

void poison(void* memory, std::size_t bytes) { std::memset(memory, static_cast<int>(kPoison), bytes); }

bool is_poison(const std::byte* memory, std::size_t bytes) {
  return std::all_of(memory, memory + bytes, [](std::byte value) { return value == kPoison; });
}

void start_shared_memory(Block& block, std::size_t dynamic_bytes) {
  if (!block.arena.data()) {
    block.arena = MappedMemory(kArena + kGuardPage);
    block.arena.forbid(kArena, kGuardPage);
  }
  poison(block.arena.data() + kDynamicArena, block.static_used);
  poison(block.arena.data(), std::max(block.dynamic_bytes, dynamic_bytes) + kRedZone);
  block.variables.clear();
  block.static_used = block.static_bytes = 0;
  block.dynamic_bytes = dynamic_bytes;
}

void end_shared_memory(const Block& block) {
  for (const SharedVariable& variable : block.variables)
    if (!is_poison(block.arena.data() + variable.offset + variable.bytes, kRedZone))
      fail("a write past the end of the shared variable '{}'", variable.name);
  if (!is_poison(block.arena.data() + block.dynamic_bytes, kRedZone))
    fail("a write past the end of the {} bytes of dynamic shared memory", block.dynamic_bytes);
}

void* static_shared(const void* key, std::size_t bytes, std::size_t alignment, const char* name, const Place& place) {
  Block& block = *current->block;
  for (const SharedVariable& variable : block.variables)
    if (variable.key == key) return block.arena.data() + variable.offset;
  const std::size_t offset = kDynamicArena + (block.static_used + alignment - 1) / alignment * alignment;
  block.static_bytes += bytes;
  if (block.static_bytes > kMaxStaticBytes || offset + bytes + kRedZone > kArena)
    stop(fmt::format("'{}' brings the block's static shared memory to {} bytes; there are {}{}", name,
                     block.static_bytes, kMaxStaticBytes, at(place)));
  block.variables.push_back({key, offset, bytes, name});
  block.static_used = offset + bytes + kRedZone - kDynamicArena;
  poison(block.arena.data() + offset, bytes + kRedZone);
  return block.arena.data() + offset;
}

unsigned char* dynamic_shared() { return reinterpret_cast<unsigned char*>(current->block->arena.data()); }

unsigned shared_offset(const void* memory) { return static_cast<unsigned>(current->block->offset(memory)); }

void touch(const void* memory, std::size_t bytes, Access access, Site site) {
  if (checker.touch) checker.touch(memory, bytes, access, site);
}

void check_vector(const void* memory, std::size_t bytes, std::size_t alignment, Access access, const Place& place) {
  touch(memory, bytes, access, site_of(place));
  if (reinterpret_cast<std::uintptr_t>(memory) % alignment == 0) return;
  const char* what = access == Access::read ? "load" : "store";
  stop(fmt::format("misaligned {} of {} bytes{}", what, bytes, at(place)));
}

void async_copy(void* shared, const void* global, unsigned bytes, unsigned source_bytes, const Place& place) {
  Block& block = *current->block;
  const std::size_t offset = block.offset(shared);
  if (offset >= kArena) stop("cp.async" + at(place) + ": the target is not in shared memory");
  if (offset % bytes || (source_bytes && reinterpret_cast<std::uintptr_t>(global) % bytes))
    stop(fmt::format("cp.async{}: an address is not aligned to {} bytes", at(place), bytes));
  touch(shared, bytes, Access::write, site_of(place));
  if (source_bytes) touch(global, source_bytes, Access::read, site_of(place));
  poison(shared, bytes);
  if (checker.set_in_flight) checker.set_in_flight(block, offset, bytes, true);
  gang->async_copies[current->linear].open.push_back(
      {static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes, source_bytes, place});
}

void async_copy_commit() {
  AsyncCopies& copies = gang->async_copies[current->linear];
  copies.groups.push_back(std::exchange(copies.open, {}));
}

void async_copy_wait(unsigned allowed, const Place& place) {
  auto& groups = gang->async_copies[current->linear].groups;
  Block& block = *current->block;
  while (groups.size() > allowed) {
    for (const AsyncCopy& copy : groups.front()) {
      if (checker.set_in_flight) checker.set_in_flight(block, block.offset(copy.to), copy.bytes, false);
      touch(copy.to, copy.bytes, Access::landing, site_of(place));
      std::memcpy(copy.to, copy.from, copy.source_bytes);
      std::memset(copy.to + copy.source_bytes, 0, copy.bytes - copy.source_bytes);
    }
    groups.erase(groups.begin());
  }
}

}  // namespace gesso::emulator
