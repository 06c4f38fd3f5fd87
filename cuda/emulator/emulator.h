// The emulated device as its host sees it: memory, streams with capture and replay, how launches are scheduled, and
// what they did. Kernels reach the emulator through cuda/cu.h; the device of the house is built on this header.
//
// One CUDA thread is a fiber, one block at a time runs on an OS thread, and a launch is over when the call returns.
// Every error of a kernel is a gesso::Error that names kernel, op, block, thread and source line. In a program whose
// kernels were compiled for the checker (see cuda/kernels.cmake) each of their loads and stores is checked as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/build.h"
#include "cuda/emulator/vector_types.h"

namespace gesso::emulator {

// Which runnable thread (or block) goes next. A kernel's result must not depend on it, to the bit.
enum class Order : std::uint8_t { fifo, lifo, random };

struct Options {
  Order threads = Order::fifo;
  Order blocks = Order::fifo;
  std::uint64_t seed = 1;  // of the random orders
  unsigned workers = 1;    // OS threads that share a grid; the checker takes one
  bool trace = false;      // in a checked program: count bank conflicts and sectors, see access_costs()
};
Options& options();  // of all launches from now on

struct Statistics {
  std::uint64_t launches = 0, blocks = 0, threads = 0;
  std::uint64_t switches = 0, collectives = 0, barriers = 0;  // arrivals of threads
  std::map<std::string, std::uint64_t, std::less<>> launches_by_op;
};
const Statistics& statistics();
void reset_statistics();

// True in a program whose kernels were compiled for the checker.
bool is_checked();

// ---- Device memory: one reserved range of addresses. Fresh memory is 0xFF bytes (NaN as floating point), addresses
// are used again only when all were used once, and a red zone follows each allocation.

// 256-byte aligned; null where there is none left.
void* allocate(std::size_t bytes);
// Throws on a pointer that is not allocated, and where a kernel wrote into the red zone; null is fine.
void release(void* memory);
// Memory that lies on the device must lie within one allocation, or this throws; the host's is taken as it is.
void copy(void* to, const void* from, std::size_t bytes);
void fill(void* to, std::byte value, std::size_t bytes);
bool is_device_memory(const void* memory);
// On: host code that touches device memory outside launches and copies stops the program, with a line that says so.
void set_guard(bool on);
bool guard();

// ---- Launches

// A kernel with its arguments, called once a thread.
class BoundKernel {
 public:
  virtual ~BoundKernel() = default;
  virtual void run() const = 0;
  virtual const void* address() const = 0;  // of the kernel's code: names it in errors
};

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic shared memory
  std::source_location place;    // where the host launched it
};

// What a stream recorded while capturing.
class Graph {
 public:
  void replay() const;  // runs all of it, in order
  std::size_t size() const { return steps_.size(); }

 private:
  friend class Stream;
  std::vector<std::function<void()>> steps_;
};

// Work in the order of its submission: done at once, or recorded while capturing.
class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // The op at work (core/profiler.h) is counted, and named in errors.
  void launch(const LaunchShape& shape, std::unique_ptr<const BoundKernel> kernel);
  void copy(void* to, const void* from, std::size_t bytes);  // host memory is read when the copy is done
  void fill(void* to, std::byte value, std::size_t bytes);

  bool capturing() const { return capturing_; }
  void begin_capture();  // throws if it is capturing
  Graph end_capture();   // throws if it is not

  cu::Stream handle() { return reinterpret_cast<cu::Stream>(this); }
  // The stream behind a handle; null is the default stream's.
  static Stream& of(cu::Stream handle);

 private:
  void submit(std::function<void()> work);

  Graph graph_;
  bool capturing_ = false;
};

// ---- Costs of memory accesses, by source line (checked programs, Options::trace)

enum class AccessKind : std::uint8_t { global_load, global_store, shared_load, shared_store };
std::string_view name_of(AccessKind kind);

struct AccessCost {
  std::string source;  // file:line
  AccessKind kind{};
  std::uint64_t requests = 0;  // of warps
  std::uint64_t cost = 0;      // cycles of the 32 banks, or 32-byte sectors
  std::uint64_t at_best = 0;   // what the same bytes need at least
  double ratio() const { return at_best ? static_cast<double>(cost) / static_cast<double>(at_best) : 0.0; }
};
// Of all launches since the last call.
std::vector<AccessCost> take_access_costs();

}  // namespace gesso::emulator
