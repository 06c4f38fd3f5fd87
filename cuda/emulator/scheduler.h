// What the parts of the emulator share: the blocks that run together on one OS thread, and all their state.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "cuda/emulator/execution.h"

namespace gesso::emulator {

// Vector clock, an entry for each thread of the gang; empty: nothing happened before.
using Clock = std::vector<std::uint32_t>;

// Pages of the operating system.
class MappedMemory {
 public:
  MappedMemory() = default;
  explicit MappedMemory(std::size_t bytes);  // throws ErrorKind::memory
  ~MappedMemory();
  MappedMemory(MappedMemory&& other) noexcept { swap(other); }
  MappedMemory& operator=(MappedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  std::byte* data() const { return data_; }
  std::size_t size() const { return bytes_; }
  bool contains(const void* memory) const {
    return reinterpret_cast<std::uintptr_t>(memory) - reinterpret_cast<std::uintptr_t>(data_) < bytes_;
  }
  void forbid(std::size_t offset, std::size_t bytes);  // whole pages that fault from now on

 private:
  void swap(MappedMemory& other) noexcept;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// A warp operation that some lanes have reached.
struct PendingCollective {
  unsigned mask = 0, arrived = 0;
  Collective function = nullptr;
  void* arguments[32] = {};
  const char* name = "";
  Place place;  // of the first lane
  Clock clock;
};
struct Warp {
  unsigned exists = 0, exited = 0;  // lanes
  std::vector<PendingCollective> pending;
  bool at_barrier = false;  // some lane waits there
  Place barrier_place;
};
struct Barrier {
  struct Waiter {
    Thread* thread;
    int* result;
  };
  unsigned arrived = 0;
  int count = 0;        // of predicates that hold
  bool counts = false;  // rather than only waits
  std::vector<Waiter> waiters;
  Clock clock;
};
struct SharedVariable {
  const void* key;
  std::size_t offset, bytes;
  const char* name;
};
struct AsyncCopy {
  std::byte* to;
  const std::byte* from;
  unsigned bytes, source_bytes;
  Place place;
};
struct AsyncCopies {  // of one thread
  std::vector<AsyncCopy> open;
  std::vector<std::vector<AsyncCopy>> groups;
};
constexpr std::uint16_t kNoThread = 0xFFFF;
struct ShadowCell {  // of one byte of shared memory: who wrote it last, who read it since
  std::uint16_t writer = kNoThread, reader = kNoThread;
  std::uint32_t write_clock = 0, read_clock = 0;
  std::uint32_t readers = 0;  // several unordered ones: 1 + index into Block::read_clocks
  bool by_atomic = false, in_flight = false;
};
struct Mbarrier {  // its 8 bytes of shared memory only name it
  unsigned count = 0, pending = 0, phase = 0;
  std::int64_t transaction_bytes = 0;
  std::vector<Thread*> waiters;
  Clock clock;
};
constexpr unsigned kWarpGroup = 128;  // threads
struct WgmmaOperation {
  float* d[kWarpGroup] = {};  // accumulators, by thread of the warp group
  int n = 0;
  std::uint64_t a = 0, b = 0;  // descriptors
  bool accumulate = false, transpose_a = false, transpose_b = false;
  unsigned group = 0;  // of the commit that it belongs to
  Place place;
  std::vector<float> saved;  // what the accumulators held when they were poisoned
};
struct WarpGroup {
  unsigned arrived = 0;
  WgmmaOperation next;
  std::vector<Thread*> waiters;
  std::vector<WgmmaOperation> operations;
  Clock issued, done;
};

// Dynamic shared memory lies at offset 0 of a block's arena, so that offsets are what a descriptor's address can name;
// static variables with red zones lie behind it.
constexpr std::size_t kMaxDynamicBytes = 227 << 10, kMaxStaticBytes = 48 << 10;
constexpr std::size_t kDynamicArena = 232 << 10, kArena = kDynamicArena + (64 << 10), kRedZone = 64;
constexpr std::byte kPoison{0xFF};

struct Block {
  BlockView view{};
  unsigned threads = 0, live = 0, linear = 0;
  std::vector<Warp> warps;
  Barrier barrier;
  MappedMemory arena;
  std::size_t static_used = 0, static_bytes = 0, dynamic_bytes = 0;
  std::vector<SharedVariable> variables;
  std::vector<ShadowCell> shadow;
  std::vector<Clock> read_clocks;
  std::vector<std::uint32_t> free_read_clocks;
  std::unordered_map<std::size_t, Mbarrier> mbarriers;
  WarpGroup warp_groups[8];

  // Beyond the arena for what is not in it.
  std::size_t offset(const void* memory) const {
    return reinterpret_cast<std::uintptr_t>(memory) - reinterpret_cast<std::uintptr_t>(arena.data());
  }
};

struct BulkCopy {
  std::function<void()> finish;
  Place place;
};

// The threads that run together, those of one block, on one OS thread.
struct Gang {
  const LaunchShape* shape = nullptr;
  const BoundKernel* kernel = nullptr;
  Block block;
  std::vector<Thread> threads;
  std::vector<AsyncCopies> async_copies;  // by thread
  std::vector<unsigned> wgmma_commits;    // by thread
  std::vector<std::uint32_t> clocks;
  std::vector<Thread*> queue;  // ring of runnable threads
  std::size_t head = 0, runnable = 0;
  std::vector<BulkCopy> bulk_copies;  // in flight; done as late as possible
  MappedMemory stack_area;
  std::vector<std::byte*> free_stacks;
  void* scheduler_stack = nullptr;
  unsigned alive = 0;
  std::uint64_t random = 1;
  std::string error;
  Statistics statistics;
};
extern constinit thread_local Gang* gang;

inline std::uint64_t next_random(std::uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

// The checker's entries, where it is linked in.
struct Checker {
  void (*forget_block)(Block&) = nullptr;  // the one that ran here before
  void (*touch)(const void* memory, std::size_t bytes, Access access, Site site) = nullptr;
  void (*set_in_flight)(Block& block, std::size_t offset, std::size_t bytes, bool on) = nullptr;
  void (*set_usable)(std::size_t offset, std::size_t bytes, bool on) = nullptr;  // of device memory
  void (*segment_end)(unsigned warp) = nullptr;                                  // a warp met a collective
};
extern constinit Checker checker;
void install_checker();
extern std::uint64_t launch_number;

// ---- stack_switch.cpp
constexpr std::size_t kStackBytes = 128 << 10, kGuardPage = 4096;
extern "C" void gesso_emulator_switch(void** saved, void* loaded);
void* fresh_frame(std::byte* stack, void (*entry)());

// ---- scheduler.cpp
void make_ready(Thread* thread);
void suspend(const char* waits_for, const Place& place);
void run_all_threads();  // of the gang, until all have returned or one has stopped
std::string describe(const Thread& thread);
std::string at(Site site);

// ---- clocks.cpp
void release_to(Clock& clock, Thread& thread);
void acquire_from(const Clock& clock, Thread& thread);
void tick(Thread& thread);
void join(Clock& into, const Clock& from);

// ---- shared_memory.cpp
void poison(void* memory, std::size_t bytes);
bool is_poison(const std::byte* memory, std::size_t bytes);
void start_shared_memory(Block& block, std::size_t dynamic_bytes);
void end_shared_memory(const Block& block);  // throws on a write into a red zone

// ---- device_memory.cpp
std::byte* device_base();
constexpr std::size_t kDeviceBytes = std::size_t{4} << 30;  // of addresses
// Opens device memory to code on the host while it lives.
class HostAccess {
 public:
  HostAccess();
  ~HostAccess();
  HostAccess(const HostAccess&) = delete;
  HostAccess& operator=(const HostAccess&) = delete;
};
std::string describe_device_address(const void* memory);

// ---- crash.cpp
void catch_crashes();  // in this OS thread, from now on

// ---- launch.cpp
void run(const LaunchShape& shape, const BoundKernel& kernel, std::string_view op);

// ---- source_line.cpp
std::string source_line(Site site);                  // file:line
std::string function_name(const void* instruction);  // as declared, without its parameters

}  // namespace gesso::emulator
