#include "ops/reduce_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

// Of one row: first the value, then its first place.
Extreme largest_of_row(int64_t n, float sign, const float* x) {
  V highest = x[0] * sign, not_a_number = 0.0f;
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const V next = V::load(x + i) * sign;
    highest = max(highest, next);
    not_a_number = select(next == next, not_a_number, V(1.0f));
  }
  float value = reduce_max(highest);
  bool has_nan = reduce_max(not_a_number) != 0;
  for (; i < n; ++i) {
    const float next = x[i] * sign;
    value = next > value ? next : value;
    has_nan = has_nan || next != next;
  }
  int64_t place = 0;
  if (has_nan) {
    while (x[place] == x[place]) ++place;
    return {x[place], static_cast<int32_t>(place)};
  }
  while (place + V::kLanes <= n && !any(V::load(x + place) * sign == V(value))) place += V::kLanes;
  while (x[place] * sign != value) ++place;
  return {value, static_cast<int32_t>(place)};
}

void largest(int64_t rows, int64_t n, int64_t row, float sign, const float* x, Extreme* parts) {
  if (n == 1 && row == 1) {
    *parts = largest_of_row(rows, sign, x);
    return;
  }
  constexpr int64_t kMost = 1024;
  float value[kMost], index[kMost];
  simd::map<Tag>(
      n, [=](V first) __attribute__((always_inline)) { return first * sign; }, value, x);
  for (int64_t i = 0; i < n; ++i) index[i] = 0;
  for (int64_t r = 1; r < rows; ++r) {
    const V place = static_cast<float>(r);
    const float* from = x + r * row;
    simd::for_each_vector<Tag>(
        n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
          const V next = V::load(from + i, count) * sign;
          const V old = V::load(value + i, count), old_index = V::load(index + i, count);
          // Kept: what is not smaller, and a NaN that is there already. All else is larger, or the first NaN.
          const auto keeps = next <= old, number = old == old;
          select(keeps, old, select(number, next, old)).store(value + i, count);
          select(keeps, old_index, select(number, place, old_index)).store(index + i, count);
        });
  }
  for (int64_t i = 0; i < n; ++i) parts[i] = {value[i], static_cast<int32_t>(index[i])};
}

double squared_deviation(int64_t n, double mean, const float* x) {
  constexpr int64_t kSums = 16;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) {
      const double d = static_cast<double>(x[i + s]) - mean;
      sums[s] += d * d;
    }
  for (int64_t s = 0; i + s < n; ++s) {
    const double d = static_cast<double>(x[i + s]) - mean;
    sums[s] += d * d;
  }
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

void squared_deviations(int64_t rows, int64_t n, int64_t row, const float* x, const double* mean, double* sums) {
  if (n == 1 && row == 1) {
    sums[0] = squared_deviation(rows, mean[0], x);
    return;
  }
  for (int64_t i = 0; i < n; ++i) sums[i] = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      const double d = static_cast<double>(x[r * row + i]) - mean[i];
      sums[i] += d * d;
    }
}

}  // namespace

template <>
const ReduceKernels& reduce_kernels<Tag>() {
  static constexpr ReduceKernels table = {.largest = largest, .squared_deviations = squared_deviations};
  return table;
}

}  // namespace gesso
