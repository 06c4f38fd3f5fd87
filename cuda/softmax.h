// Kernels of softmax and log_softmax over rows.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

struct SoftmaxForward {
  std::int64_t rows, width;
  bool logarithm;  // log_softmax
  const float* x;
  float* y;
};
struct SoftmaxBackward {
  std::int64_t rows, width;
  bool logarithm;
  const float *y, *dy;
  float* dx;
};
struct SoftmaxKernels {
  void (*forward)(cu::Stream stream, const SoftmaxForward& of);
  void (*backward)(cu::Stream stream, const SoftmaxBackward& of);
};
template <class Build>
const SoftmaxKernels& softmax_kernels();

void register_softmax(DeviceKind device, const SoftmaxKernels& kernels);

}  // namespace gesso::cuda
