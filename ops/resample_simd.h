// Inner loops of ops/resample.cpp: weighted sums of neighbouring rows and of neighbouring pixels of a row.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

// Target i is made of the sources first[i], first[i] + 1, ..., with the weights from begin[i] to begin[i + 1].
struct AxisTerms {
  const int64_t *first, *begin;  // [targets], [targets + 1]
  const float* weights;
};

struct ResampleKernels {
  // y[n] = sum over t < terms of weights[t] * rows[t * stride + ...]
  void (*blend_rows)(int64_t n, int64_t terms, const float* weights, const float* rows, int64_t stride, float* y);
  // y[targets,channels] from x[sources,channels]
  void (*blend_pixels)(int64_t targets, int64_t sources, int64_t channels, AxisTerms axis, const float* x, float* y);
};
template <class Tag>
const ResampleKernels& resample_kernels();

}  // namespace gesso
