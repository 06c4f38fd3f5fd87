// Inner loops of ops/group_norm.cpp and ops/batch_norm.cpp: columns of a block of rows, each column with its own
// coefficients.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/kept_bits.h"

namespace gesso {

// `rows` rows of `columns` floats, `stride` floats apart.
struct NormBlock {
  int64_t rows, columns, stride;
};
// Of each column: z = (x - mean) scale + shift.
struct NormColumns {
  const float *mean, *scale, *shift;  // [columns]
};

// What becomes of z: y = dropout(f(z)), f = silu or identity. An element's place in its sample counts from the block's
// first, rows `stride` apart.
struct NormFinish {
  bool silu = false;
  KeptBits kept{};
};

struct NormKernels {
  void (*sum)(NormBlock block, const float* x, float* sums);                         // sum x
  void (*squares)(NormBlock block, const float* x, const float* mean, float* sums);  // sum (x - mean)^2
  void (*apply)(NormBlock block, NormColumns of, const NormFinish& finish, const float* x, float* y);
  // sums_dz = sum dz, sums_dzx = sum dz (x - mean). Where y is not z, dz is kept in `dz` unless that is null; else it
  // is dy. Without silu only the mean is read.
  void (*backward_sums)(NormBlock block, NormColumns of, const NormFinish& finish, const float* x, const float* dy,
                        float* dz, float* sums_dz, float* sums_dzx);
  // dx = dz scale + (x - mean) slope + shift; dx may be dz.
  void (*backward_apply)(NormBlock block, NormColumns of, const float* slope, const float* x, const float* dz,
                         float* dx);
};
template <class Tag>
const NormKernels& norm_kernels();

}  // namespace gesso
