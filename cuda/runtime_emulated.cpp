#include <chrono>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/host_memory.h"
#include "cuda/emulator/emulator.h"
#include "cuda/emulator/usable_memory.h"
#include "cuda/runtime.h"

namespace gesso::cuda {
namespace {

emulator::Graph* graph_of(Recorded recorded) { return reinterpret_cast<emulator::Graph*>(recorded); }

// What was wrong in a call that cannot say so: the next one that can does, as CUDA would.
class Unsaid {
 public:
  void keep(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
  }
  void say() {
    const std::lock_guard lock(mutex_);
    if (error_) throw *std::exchange(error_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::optional<Error> error_;
};
Unsaid& unsaid() {
  static Unsaid error;
  return error;
}

void* allocate(std::size_t bytes) {
  unsaid().say();
  return emulator::allocate(bytes);
}
void release(void* memory) {  // of a destructor
  try {
    emulator::release(memory);
  } catch (const Error& error) {
    unsaid().keep(error);
  }
}
void* allocate_host(std::size_t bytes) { return std::malloc(bytes); }
void release_host(void* memory) { std::free(memory); }

cu::Stream make_stream() { return (new emulator::Stream)->handle(); }
void drop_stream(cu::Stream stream) { delete &emulator::Stream::of(stream); }

// The emulator does all work where it is submitted: nobody ever waits, and an event is at most the time of then.
using Clock = std::chrono::steady_clock;
Clock::time_point* time_of(Event event) { return reinterpret_cast<Clock::time_point*>(event); }
Event make_event() { return nullptr; }
Event make_timed_event() { return reinterpret_cast<Event>(new Clock::time_point); }
void drop_event(Event event) { delete time_of(event); }
void record(Event event, cu::Stream) {
  if (event) *time_of(event) = Clock::now();
}
void wait(Event) {}
double seconds(Event begin, Event end) {
  return std::chrono::duration<double>(*time_of(end) - *time_of(begin)).count();
}
void synchronize(cu::Stream) { unsaid().say(); }

void copy(cu::Stream stream, void* to, const void* from, std::size_t bytes) {
  unsaid().say();
  emulator::Stream::of(stream).copy(to, from, bytes);
}
void fill(cu::Stream stream, void* to, std::byte value, std::size_t bytes) {
  emulator::Stream::of(stream).fill(to, value, bytes);
}

void begin_capture(cu::Stream stream) { emulator::Stream::of(stream).begin_capture(); }
Recorded end_capture(cu::Stream stream) {
  return reinterpret_cast<Recorded>(new emulator::Graph(emulator::Stream::of(stream).end_capture()));
}
void launch(Recorded recorded, cu::Stream) { graph_of(recorded)->replay(); }
void drop(Recorded recorded) { delete graph_of(recorded); }

std::uint64_t launches() { return emulator::statistics().launches; }

}  // namespace

const Runtime& emulated_runtime() {
  static constexpr Runtime table = {.allocate = allocate,
                                    .release = release,
                                    .available = available_host_bytes,
                                    .set_usable = emulator::set_usable,
                                    .allocate_host = allocate_host,
                                    .release_host = release_host,
                                    .make_stream = make_stream,
                                    .drop_stream = drop_stream,
                                    .make_event = make_event,
                                    .make_timed_event = make_timed_event,
                                    .drop_event = drop_event,
                                    .record = record,
                                    .wait = wait,
                                    .seconds = seconds,
                                    .synchronize = synchronize,
                                    .copy = copy,
                                    .fill = fill,
                                    .begin_capture = begin_capture,
                                    .end_capture = end_capture,
                                    .launch = launch,
                                    .drop = drop,
                                    .launches = launches};
  return table;
}

}  // namespace gesso::cuda
