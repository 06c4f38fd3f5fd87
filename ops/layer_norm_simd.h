// Inner loops of ops/layer_norm.cpp: rows that lie densely, each normalised by itself.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// y = (x - mean) rstd weight + bias
struct LayerNormRows {
  int64_t rows, width;
  float eps;
  const float *x, *weight, *bias;  // [rows,width], [width], [width]
  float *y, *mean, *rstd;          // [rows,width], [rows], [rows]; mean null: an rms norm, nothing is taken off
};
struct LayerNormGradient {
  int64_t rows, width;
  const float *x, *dy, *weight;  // [rows,width], [rows,width], [width]
  const float *mean, *rstd;      // [rows]; mean null: as above
  const float *dmean, *drstd;    // [rows], or null
  float* dx;                     // [rows,width], or null
  float *dweight, *dbias;        // [width]: sums over these rows; or null
};

struct LayerNormKernels {
  void (*forward)(const LayerNormRows& of);
  void (*backward)(const LayerNormGradient& of);
};
template <class Tag>
const LayerNormKernels& layer_norm_kernels();

}  // namespace gesso
