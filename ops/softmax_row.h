// One row of a softmax, for the kernels of the ops that hold one: softmax, cross entropy, attention. Only *_simd.cpp
// files include it; the rules of core/simd.h hold.
#pragma once

#include "core/simd.h"

namespace gesso::simd {

// v in the first n lanes, `rest` in the others.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> first_lanes(Vec<Tag> v, int64_t n, float rest) {
  if (n >= Vec<Tag>::kLanes) return v;
  float lanes[Vec<Tag>::kLanes];
  Vec<Tag>(rest).store(lanes);
  v.store(lanes, n);
  return Vec<Tag>::load(lanes);
}

// The largest of `so_far` and x[n]; a NaN may be passed over.
template <class Tag>
[[gnu::always_inline]] inline float highest_of(int64_t n, const float* x, float so_far) {
  Vec<Tag> highest = so_far;
  for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        highest = max(highest, first_lanes(Vec<Tag>::load(x + i, count), count, so_far));
      });
  return reduce_max(highest);
}

// The sum of e^(x - shift) over x[n]; keep(i, count, e) is given the exponentials of each vector.
template <class Tag, class Keep>
[[gnu::always_inline]] inline float sum_of_exponentials(int64_t n, float shift, const float* x, Keep keep) {
  Vec<Tag> sum = 0.0f;
  for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const Vec<Tag> e = exp(Vec<Tag>::load(x + i, count) - shift);
        keep(i, count, e);
        sum = sum + first_lanes(e, count, 0.0f);
      });
  return reduce_add(sum);
}

// A sum over n elements: add(sum, x[i], ...) is the next sum. Lanes beyond the end are 0 in each x, and must then leave
// the sum as it is.
template <class Tag, class Add, class... Inputs>
[[gnu::always_inline]] inline float sum_of(int64_t n, Add add, const Inputs*... x) {
  Vec<Tag> sum = 0.0f;
  for_each_vector<Tag>(
      n, [&](int64_t i, int64_t count)
             __attribute__((always_inline)) { sum = add(sum, Vec<Tag>::load(x + i, count)...); });
  return reduce_add(sum);
}

}  // namespace gesso::simd
