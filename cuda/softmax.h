// Kernels of softmax over the last axis.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// rows x K elements, row after row.
struct SoftmaxForward {
  std::int64_t rows, K;
  const float* x;
  float* y;
};
struct SoftmaxBackward {
  std::int64_t rows, K;
  const float *y, *dy;
  float* dx;
};
struct SoftmaxFunction {
  void (*forward)(cu::Stream stream, const SoftmaxForward& call);
  void (*backward)(cu::Stream stream, const SoftmaxBackward& call);
};
struct SoftmaxKernels {
  SoftmaxFunction softmax, log_softmax;
};
template <class Build>
const SoftmaxKernels& softmax_kernels();

void register_softmax(DeviceKind device, const SoftmaxKernels& kernels);

}  // namespace gesso::cuda
