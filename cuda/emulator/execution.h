// What a running kernel's code meets of the emulator: its thread, shared memory, collectives, checked accesses.
// The spellings of CUDA (cuda/emulator/builtins.h) and of instructions (cuda/cu_ptx.h) are written over these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>

#include "cuda/emulator/vector_types.h"

namespace gesso::emulator {

using Place = std::source_location;  // as a default argument: the caller's line

struct Block;

struct BlockView {
  uint3 index;
  dim3 block, grid;
};

struct Thread {
  uint3 index{};                            // threadIdx
  unsigned linear = 0, lane = 0, warp = 0;  // linear: within the block
  const BlockView* view = nullptr;
  // The scheduler's:
  Block* block = nullptr;
  void* stack_pointer = nullptr;  // while switched out
  std::byte* stack = nullptr;
  enum class State : std::uint8_t { fresh, ready, waiting, done } state = State::fresh;
  const char* waits_for = "";
  Place place;
  std::uint32_t* clock = nullptr;  // vector clock, one entry a thread (checked programs)
};
extern constinit thread_local Thread* current;  // null outside kernels

// Ends the launch: the host gets the text, with kernel and thread, as gesso::Error.
[[noreturn]] void stop(const std::string& what);
std::string at(const Place& place);  // " at file:line"

// ---- Shared memory: filled with 0xFF bytes when a block starts.
void* static_shared(const void* key, std::size_t bytes, std::size_t alignment, const char* name, const Place& place);
// The address of `key` tells variables apart: the lambda at each declaration makes it unique, in each template
// instance too.
template <class T, class Tag>
inline T& static_shared(Tag, const char* name, Place place = Place::current()) {
  static constexpr char key = 0;
  return *static_cast<T*>(static_shared(&key, sizeof(T), alignof(T) < 16 ? 16 : alignof(T), name, place));
}
unsigned char* dynamic_shared();
unsigned shared_offset(const void* memory);  // as the 18-bit addresses of wgmma's descriptors count

// ---- Collectives
// A warp operation: the last lane to arrive does it for all, given the arguments by lane.
using Collective = void (*)(void* const* arguments, unsigned mask);
void warp_collective(unsigned mask, const char* name, Collective function, void* argument, bool orders_memory,
                     const Place& place);
void barrier(const Place& place);                      // of all threads of the block
int barrier_count(int predicate, const Place& place);  // of how many it holds

// ---- Checked accesses, made on a thread's behalf by what is not compiled with the kernel
// landing: an asynchronous copy, reported at its issue already, that now writes.
enum class Access : std::uint8_t { read, write, atomic, landing };
struct Site {
  const void* key;  // a source file's name and its line, or an instruction's address and -1
  int line;
};
inline Site site_of(const Place& place) { return {place.file_name(), static_cast<int>(place.line())}; }
void touch(const void* memory, std::size_t bytes, Access access, Site site);
// One access of a vector type, which must be aligned to its size.
void check_vector(const void* memory, std::size_t bytes, std::size_t alignment, Access access, const Place& place);

// ---- cp.async: the target is poisoned at once and filled only when a wait forces it
void async_copy(void* shared, const void* global, unsigned bytes, unsigned source_bytes, const Place& place);
void async_copy_commit();
void async_copy_wait(unsigned allowed, const Place& place);

}  // namespace gesso::emulator
