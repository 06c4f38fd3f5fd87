// Kernels that only compute, or only copy: what a device reaches, for benchmarks to tell the speed of others against.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

constexpr int kCeilingThreads = 256;  // a block
constexpr int kMultiplyAddChains = 8, kMultiplyAddSteps = 16;

// Each thread goes kMultiplyAddSteps steps a round, x = 0.999 x + 0.001 as one multiply-add, in each of its chains,
// which start at 0, 1, ...
struct MultiplyAddLoop {
  float* y;  // [blocks * kCeilingThreads], the sum of a thread's chains
  int blocks, rounds;
};

struct CeilingKernels {
  void (*multiply_add)(cu::Stream stream, const MultiplyAddLoop& loop);
  void (*copy)(cu::Stream stream, std::int64_t n, const float* x, float* y);  // n in fours, both aligned to 16 bytes
};
template <class Build>
const CeilingKernels& ceiling_kernels();

void register_ceilings(DeviceKind device, const CeilingKernels& kernels);
const CeilingKernels& ceilings_of(const Device& device);

}  // namespace gesso::cuda
