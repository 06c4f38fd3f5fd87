#include <cstddef>
#include <memory>

#include "core/error.h"
#include "cuda/ceilings.h"
#include "cuda/device.h"
#include "cuda/devices.h"

namespace gesso {
namespace {

// Two events in the device's stream, around the work.
class Stopwatch {
 public:
  explicit Stopwatch(const cuda::CudaDevice& device)
      : runtime_(device.runtime()),
        stream_(device.stream()),
        begin_(runtime_.make_timed_event()),
        end_(runtime_.make_timed_event()) {}
  ~Stopwatch() {
    runtime_.drop_event(begin_);
    runtime_.drop_event(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  double seconds(const std::function<void()>& work) const {
    runtime_.record(begin_, stream_);
    work();
    runtime_.record(end_, stream_);
    runtime_.wait(end_);
    return runtime_.seconds(begin_, end_);
  }

 private:
  const cuda::Runtime& runtime_;
  cu::Stream stream_;
  cuda::Event begin_, end_;
};

// The loop of multiply-adds: eight blocks for each of an H200's 132 multiprocessors are as many as run there at once.
// The ceiling takes eight times as many, half a millisecond at that GPU's peak.
constexpr int kBlocksAtOnce = 8 * 132, kBlocks = 8 * kBlocksAtOnce, kRounds = 64;

double operations() {
  return 2.0 * kBlocks * cuda::kCeilingThreads * kRounds * cuda::kMultiplyAddSteps * cuda::kMultiplyAddChains;
}

// Where the loop writes. Beside the device's allocator, whose peak benchmarks report.
std::shared_ptr<float> results_of_loop(const cuda::Runtime& runtime) {
  constexpr std::size_t kBytes = sizeof(float) * kBlocks * cuda::kCeilingThreads;
  void* memory = runtime.allocate(kBytes);
  if (!memory) fail(ErrorKind::memory, "bench: the device has no {} bytes left to measure its ceilings with", kBytes);
  return {static_cast<float*>(memory), [&runtime](float* results) { runtime.release(results); }};
}

}  // namespace

DeviceUnderBench device_under_bench(DeviceKind kind) {
  if (kind != DeviceKind::emulated && kind != DeviceKind::cuda)
    fail("device {} has no clock of its own to be timed by; take cuda or emulated", name_of(kind));
  const auto& device = static_cast<const cuda::CudaDevice&>(gesso::device(kind));
  DeviceUnderBench bench;
  const auto watch = std::make_shared<const Stopwatch>(device);
  bench.seconds = [watch](const std::function<void()>& work) { return watch->seconds(work); };
  if (kind == DeviceKind::emulated) return bench;
  const cuda::CeilingKernels& kernels = cuda::ceilings_of(device);
  const auto loop = [&kernels, &device, results = results_of_loop(device.runtime())](int blocks) {
    kernels.multiply_add(device.stream(), {.y = results.get(), .blocks = blocks, .rounds = kRounds});
  };
  // Some 70 us of other work go first: by then the host has asked for the work, and its own time is not counted.
  bench.seconds = [watch, loop](const std::function<void()>& work) {
    loop(kBlocksAtOnce);
    return watch->seconds(work);
  };
  bench.multiply_add = [loop] {
    loop(kBlocks);
    return operations();
  };
  bench.copy = [&kernels, &device](std::int64_t n, const float* from, float* to) {
    kernels.copy(device.stream(), n, from, to);
  };
  return bench;
}

}  // namespace gesso
