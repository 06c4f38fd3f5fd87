// Kernels of pictures of other sizes by interpolation. The other ways are stretches and sums of other families.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// x [pictures,height,width,channels], y [pictures,new_height,new_width,channels]; sides of kMostPixels at most, so that
// products of two of them, doubled, fit in 31 bits.
constexpr int kMostPixels = 32000;
struct Bilinear {
  std::int64_t pictures, channels;
  int height, width, new_height, new_width;
  int lanes;  // threads a pixel: a power of two
  const float* from;
  float* to;
};
struct ResampleKernels {
  void (*forward)(cu::Stream stream, const Bilinear& y_of_x);
  void (*backward)(cu::Stream stream, const Bilinear& dx_of_dy);
};
template <class Build>
const ResampleKernels& resample_kernels();

void register_resample(DeviceKind device, const ResampleKernels& kernels);

}  // namespace gesso::cuda
