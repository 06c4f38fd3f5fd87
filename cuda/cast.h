// Kernels of conversions between element types.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "core/dtype.h"
#include "cuda/build.h"

namespace gesso::cuda {

// y = x scale + shift, rounded; n elements each.
struct CastCall {
  std::int64_t n;
  double scale, shift;
  const void* x;
  void* y;
};
struct CastKernels {
  using Convert = void (*)(cu::Stream stream, const CastCall& call);
  static constexpr int kTypes = 8;
  Convert convert[kTypes][kTypes];  // from and to, by their DType; those of `none` are null
};
template <class Build>
const CastKernels& cast_kernels();

void register_cast(DeviceKind device, const CastKernels& kernels);

}  // namespace gesso::cuda
