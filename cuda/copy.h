// Kernels of ops that move elements one to one: straight_through, assign.
#pragma once

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"

namespace gesso::cuda {

struct CopyKernels {
  void (*copy)(cu::Stream stream, const Map1& y_of_x);
  // x where the gate is finite, else y as it was.
  void (*copy_if_finite)(cu::Stream stream, const Map3& y_of_y_and_x_and_gate);
};
template <class Build>
const CopyKernels& copy_kernels();

void register_copy(DeviceKind device, const CopyKernels& kernels);

}  // namespace gesso::cuda
