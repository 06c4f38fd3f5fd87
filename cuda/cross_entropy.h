// Kernels of the loss over classes.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// The target of row n: `share` of class index[n] and `rest` of every class.
struct SmoothedClasses {
  std::int64_t rows, width;
  const float* logits;        // [rows,width]
  const std::int32_t* index;  // [rows]
  float share, rest;
};
struct CrossEntropyKernels {
  // losses[rows]; NaN where an index lies outside.
  void (*losses)(cu::Stream stream, const SmoothedClasses& of, float* losses);
  // dx[rows,width] from dy[], the gradient of the losses' mean.
  void (*gradient)(cu::Stream stream, const SmoothedClasses& of, const float* dy, float* dx);
};
template <class Build>
const CrossEntropyKernels& cross_entropy_kernels();

void register_cross_entropy(DeviceKind device, const CrossEntropyKernels& kernels);

}  // namespace gesso::cuda
