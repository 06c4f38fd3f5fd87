// Kernels of a codebook that is a moving average.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

struct CodebookStep {
  float decay, eps, revival_threshold;
  std::uint64_t key;                              // of who revives
  std::int64_t codes, width, candidates;          // K, D, and how many rows z has; 0: none is revived
  float *codebook, *moving_counts, *moving_sums;  // [K,D], [K], [K,D]: overwritten unless the gate is not finite
  const float *counts, *sums, *z;                 // [K], [K,D], [candidates,D]
  const std::int64_t* step;                       // [1]
  const float* gate;                              // [1]
  float* new_counts;                              // [K], scratch
  double* factor;                                 // [1], scratch: from a count to a smoothed one
  int lanes;                                      // threads a code: a power of two
};
struct CodebookUpdateKernels {
  void (*update)(cu::Stream stream, const CodebookStep& step);
};
template <class Build>
const CodebookUpdateKernels& codebook_update_kernels();

void register_codebook_update(DeviceKind device, const CodebookUpdateKernels& kernels);

}  // namespace gesso::cuda
