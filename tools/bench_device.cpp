#include "tools/bench_device.h"

#include <algorithm>
#include <chrono>

#include "tools/ceilings_simd.h"

namespace gesso {
namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const CeilingKernels& kernels(Isa isa) {
  return by_isa(isa, ceiling_kernels<simd::Baseline>, ceiling_kernels<simd::Avx2>, ceiling_kernels<simd::Avx512>)();
}

double multiply_add(const Execution& run) {
  constexpr std::int64_t kRounds = 20000;
  const std::int64_t chunks = std::int64_t{4} * run.pool.threads();
  const CeilingKernels& kernel = kernels(run.isa);
  run.pool.run(chunks, [&](std::int64_t, int) {
    volatile float keep = kernel.fma_loop(kRounds);
    static_cast<void>(keep);
  });
  return static_cast<double>(chunks * kRounds * kernel.operations_a_round);
}

void copy(const Execution& run, std::int64_t n, const float* from, float* to) {
  constexpr std::int64_t kGrain = 1 << 13;
  parallel_for(run.pool, n, kGrain, [&](std::int64_t first, std::int64_t last) {
    kernels(run.isa).copy(last - first, from + first, to + first);
  });
}

}  // namespace

DeviceUnderBench under_bench(const Execution& run) {
  const DeviceKind kind = run.device.kind();
  if (kind == DeviceKind::cuda || kind == DeviceKind::emulated) return device_under_bench(kind);
  DeviceUnderBench bench;
  bench.seconds = [](const std::function<void()>& work) {
    const double begin = now_seconds();
    work();
    return now_seconds() - begin;
  };
  if (kind == DeviceKind::reference) return bench;
  bench.multiply_add = [&run] { return multiply_add(run); };
  bench.copy = [&run](std::int64_t n, const float* from, float* to) { copy(run, n, from, to); };
  return bench;
}

double sample_flops(const DeviceUnderBench& bench) {
  if (!bench.multiply_add) return 0;
  double operations = 0;
  const double seconds = bench.seconds([&] { operations = bench.multiply_add(); });
  return operations / seconds;
}

TimedCall::TimedCall(const DeviceUnderBench& bench, Device& device, const std::function<void()>& call)
    : seconds_(bench.seconds), work_(call) {
  constexpr double kSeconds = 1e-3;  // of a sample: far above what events can tell
  constexpr int kMost = 100;
  seconds_(call);  // the first one fetches memory
  if (!device.can_capture()) return;
  const double once = seconds_(call);
  times_ = static_cast<int>(std::clamp(kSeconds / std::max(once, 1e-9), 1.0, static_cast<double>(kMost)));
  graph_ = device.capture([&] {
    for (int i = 0; i < times_; ++i) call();
  });
  work_ = [graph = graph_.get()] { graph->launch(); };
  seconds_(work_);  // the first one carries the graph to the device
}

double TimedCall::sample() const { return seconds_(work_) / times_; }

CopyCeiling::CopyCeiling(const DeviceUnderBench& bench, Device& device, double bytes)
    : n_(std::clamp<std::int64_t>(static_cast<std::int64_t>(bytes) / 32 * 4, 1 << 12, 1 << 25)),
      from_(Tensor::zeros({{n_}, DType::f32}, device)),
      to_(Tensor::zeros({{n_}, DType::f32}, device)),
      call_(bench, device, [&bench, n = n_, from = from_.data<float>().data(), to = to_.data<float>().data()] {
        bench.copy(n, from, to);
      }) {}

}  // namespace gesso
