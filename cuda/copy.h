// Kernels of ops that move elements one to one: straight_through, assign. And of what a device does of itself: fill.
#pragma once

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"

namespace gesso::cuda {

struct CopyKernels {
  void (*fill)(cu::Stream stream, float value, const Map0& y);
  void (*copy)(cu::Stream stream, const Map1& y_of_x);
  // x where the gate is finite, else y as it was.
  void (*copy_if_finite)(cu::Stream stream, const Map3& y_of_y_and_x_and_gate);
};
template <class Build>
const CopyKernels& copy_kernels();

void register_copy(DeviceKind device, const CopyKernels& kernels);

// n elements, each that value.
void fill_with(const Device& device, std::int64_t n, float value, float* y);

}  // namespace gesso::cuda
