// Kernels of a choice between two operands, element by element.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/elementwise.h"

namespace gesso::cuda {

struct WhereKernels {
  void (*choose)(cu::Stream stream, const Elementwise<float, std::uint8_t, float, float>& y_of_condition_and_a_and_b);
  // x where the condition is (is not) 0, else 0: terms of the gradients of b (of a).
  void (*where_zero)(cu::Stream stream, const Elementwise<float, std::uint8_t, float>& y_of_condition_and_x);
  void (*where_nonzero)(cu::Stream stream, const Elementwise<float, std::uint8_t, float>& y_of_condition_and_x);
};
template <class Build>
const WhereKernels& where_kernels();

void register_where(DeviceKind device, const WhereKernels& kernels);

}  // namespace gesso::cuda
