// Kernels of the norms of each row by itself: layer norm, and root mean square norm.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// x [rows,width]; weight and bias [width] are 1 and 0 where absent. mean [rows] is absent where the rows are not
// centred.
struct LayerNormForward {
  std::int64_t rows, width;
  float eps;
  const float *x, *weight, *bias;
  float *y, *mean, *rstd;
};
// An absent gradient of a result is 0.
struct LayerNormBackward {
  std::int64_t rows, width;
  const float *x, *weight, *mean, *rstd;
  const float *dy, *dmean, *drstd;
  float* dx;
};
// Rows of x in chunks of kChunkRows: each leaves a row of sums of dy xhat, and of dy, where these are wanted.
struct LayerNormSums {
  static constexpr std::int64_t kChunkRows = 128;
  std::int64_t rows, width;
  const float *x, *dy, *mean, *rstd;
  float *dweight, *dbias;  // [chunks,width]

  static constexpr std::int64_t chunks_of(std::int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }
};
struct LayerNormKernels {
  void (*forward)(cu::Stream stream, const LayerNormForward& of);
  void (*backward)(cu::Stream stream, const LayerNormBackward& of);
  void (*sums)(cu::Stream stream, const LayerNormSums& of);
};
template <class Build>
const LayerNormKernels& layer_norm_kernels();

void register_layer_norm(DeviceKind device, const LayerNormKernels& kernels);

}  // namespace gesso::cuda
