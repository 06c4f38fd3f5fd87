#include "ops/resample_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// The vector at x + t * stride, weighted and summed over t < terms, of which `count` elements are touched.
[[gnu::always_inline]] inline void blend(int64_t count, int64_t terms, const float* weights, const float* x,
                                         int64_t stride, float* y) {
  V sum = terms > 0 ? V::load(x, count) * weights[0] : V(0.0f);
  for (int64_t t = 1; t < terms; ++t) sum = fma(V::load(x + t * stride, count), weights[t], sum);
  sum.store(y, count);
}

void blend_rows(int64_t n, int64_t terms, const float* weights, const float* rows, int64_t stride, float* y) {
  simd::for_each_vector<Tag>(
      n, [=](int64_t i, int64_t count)
             __attribute__((always_inline)) { blend(count, terms, weights, rows + i, stride, y + i); });
}

// Whole vectors as long as they stay inside both rows: what is written beyond a pixel the next pixel writes over.
void blend_pixels(int64_t targets, int64_t sources, int64_t channels, AxisTerms axis, const float* x, float* y) {
  for (int64_t i = 0; i < targets; ++i) {
    const int64_t terms = axis.begin[i + 1] - axis.begin[i], sources_left = sources - axis.first[i] - terms + 1;
    const int64_t room = (sources_left < targets - i ? sources_left : targets - i) * channels;
    const float *weights = axis.weights + axis.begin[i], *from = x + axis.first[i] * channels;
    float* to = y + i * channels;
    for (int64_t c = 0; c < channels; c += V::kLanes) {
      if (room - c >= V::kLanes)
        blend(V::kLanes, terms, weights, from + c, channels, to + c);
      else
        blend(channels - c, terms, weights, from + c, channels, to + c);
    }
  }
}

}  // namespace

template <>
const ResampleKernels& resample_kernels<Tag>() {
  static constexpr ResampleKernels table = {.blend_rows = blend_rows, .blend_pixels = blend_pixels};
  return table;
}

}  // namespace gesso
