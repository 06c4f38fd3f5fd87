// Streams of the emulated device: work is done when it is submitted, or recorded for a graph.
#include <string>
#include <utility>

#include "core/error.h"
#include "core/profiler.h"
#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

void Graph::replay() const {
  for (const auto& step : steps_) step();
}

Stream& Stream::of(cu::Stream handle) {
  static Stream default_stream;
  return handle ? *reinterpret_cast<Stream*>(handle) : default_stream;
}

void Stream::submit(std::function<void()> work) {
  if (!capturing_) return work();
  graph_.steps_.push_back(std::move(work));
}

void Stream::launch(const LaunchShape& shape, std::unique_ptr<const BoundKernel> kernel) {
  submit([shape, kernel = std::shared_ptr(std::move(kernel)), op = std::string(op_at_work())] {
    run(shape, *kernel, op);
  });
}

void Stream::copy(void* to, const void* from, std::size_t bytes) {
  submit([=] { emulator::copy(to, from, bytes); });
}

void Stream::fill(void* to, std::byte value, std::size_t bytes) {
  submit([=] { emulator::fill(to, value, bytes); });
}

void Stream::begin_capture() {
  if (capturing_) fail("emulator: the stream is capturing already; end that capture first");
  capturing_ = true;
}

Graph Stream::end_capture() {
  if (!capturing_) fail("emulator: the stream is not capturing; begin_capture() comes first");
  capturing_ = false;
  return std::exchange(graph_, {});
}

}  // namespace gesso::emulator
