#include <algorithm>
#include <chrono>
#include <limits>

#include "core/error.h"
#include "cuda/devices.h"
#include "cuda/emulator/costs.h"
#include "cuda/emulator/emulator.h"

namespace gesso {
namespace {

class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : data_(static_cast<float*>(emulator::allocate(count * sizeof(float)))) {
    if (!data_) fail(ErrorKind::memory, "bench emulator: no {} bytes of emulated memory", count * sizeof(float));
    emulator::fill(data_, std::byte{0}, count * sizeof(float));
  }
  ~DeviceArray() { emulator::release(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  float* data() const { return data_; }

 private:
  float* data_;
};

// Nanoseconds of the fastest of many calls, a millisecond or less each: most fit between what else the machine runs.
template <class Body>
double best_ns(Body body) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 40; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

std::vector<EmulationCost> emulation_costs() {
  constexpr int kBlocks = 100, kCount = 100;
  constexpr double kThreads = emulator::kCostBlock, kWarps = kThreads / 32;
  const DeviceArray x(kBlocks * emulator::kCostBlock), y(kBlocks * emulator::kCostBlock);
  const double launch = best_ns([] { emulator::run_empty(nullptr, 1); });
  const double empty = best_ns([] { emulator::run_empty(nullptr, kBlocks); });
  const double axpy = best_ns([&] { emulator::run_axpy(nullptr, kBlocks, x.data(), y.data()); });
  const double barriers = best_ns([] { emulator::run_barriers(nullptr, kCount); });
  const double shuffles = best_ns([&] { emulator::run_shuffles(nullptr, kCount, y.data()); });
  const double mma = best_ns([&] { emulator::run_mma(nullptr, kCount, y.data()); });
  return {{"launch of one block", launch, "launch"},
          {"empty kernel", empty / (kBlocks * kThreads), "thread"},
          {"y += 2 x", axpy / (kBlocks * kThreads), "thread"},
          {"__syncthreads", barriers / (kCount * kThreads), "thread"},
          {"__shfl_xor_sync", shuffles / (kCount * kThreads), "thread"},
          {"mma.m16n8k16", mma / (kCount * kWarps), "warp"}};
}

}  // namespace gesso
