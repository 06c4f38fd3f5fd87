#include "ops/broadcast_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

struct Add {
  static V value(V a, V b) { return a + b; }
};
struct Sub {
  static V value(V a, V b) { return a - b; }
};
struct Mul {
  static V value(V a, V b) { return a * b; }
};
struct Div {
  static V value(V a, V b) { return a / b; }
};
struct InverseSlope {
  static V value(V a, V b) { return -(a / b / b); }
};

struct Maximum {
  static V value(V a, V b) { return select(b == b, select(a < b, b, a), b); }
};
struct Minimum {
  static V value(V a, V b) { return select(b == b, select(b < a, b, a), b); }
};
struct ShareOfLarger {
  static V value(V a, V b) { return select(b < a, V(1.0f), select(a == b, V(0.5f), V(0.0f))); }
};
struct ShareOfSmaller {
  static V value(V a, V b) { return select(a < b, V(1.0f), select(a == b, V(0.5f), V(0.0f))); }
};

template <class F>
void rows_of(int64_t rows, int64_t n, RowOperand a, RowOperand b, float* y) {
  for (int64_t r = 0; r < rows; ++r, a.data += a.row, b.data += b.row, y += n) {
    if (a.element && b.element) {
      simd::map<Tag>(n, &F::value, y, a.data, b.data);
    } else if (a.element) {
      const V constant = *b.data;
      simd::map<Tag>(
          n, [=](V x) __attribute__((always_inline)) { return F::value(x, constant); }, y, a.data);
    } else if (b.element) {
      const V constant = *a.data;
      simd::map<Tag>(
          n, [=](V x) __attribute__((always_inline)) { return F::value(constant, x); }, y, b.data);
    } else {
      const V constant = F::value(*a.data, *b.data);
      simd::map<Tag>(
          n, [=]() __attribute__((always_inline)) { return constant; }, y);
    }
  }
}

double sum(int64_t n, const float* x) {
  constexpr int64_t kSums = 16;  // independent of the instruction set, so that the result is too
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums)
    for (int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(x[i + s]);
  for (int64_t s = 0; i + s < n; ++s) sums[s] += static_cast<double>(x[i + s]);
  for (int64_t half = kSums / 2; half > 0; half /= 2)
    for (int64_t s = 0; s < half; ++s) sums[s] += sums[s + half];
  return sums[0];
}

void sum_rows(int64_t rows, int64_t n, int64_t row, const float* x, double* sums) {
  if (n == 1 && row == 1) {
    sums[0] = sum(rows, x);
    return;
  }
  for (int64_t i = 0; i < n; ++i) sums[i] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {  // four at a time: a quarter of the traffic of the sums
    const float *x0 = x + r * row, *x1 = x0 + row, *x2 = x1 + row, *x3 = x2 + row;
    for (int64_t i = 0; i < n; ++i)
      sums[i] += (static_cast<double>(x0[i]) + static_cast<double>(x1[i])) +
                 (static_cast<double>(x2[i]) + static_cast<double>(x3[i]));
  }
  for (; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(x[r * row + i]);
}

}  // namespace

template <>
const BroadcastKernels& broadcast_kernels<Tag>() {
  static constexpr BroadcastKernels table = {.add = rows_of<Add>,
                                             .sub = rows_of<Sub>,
                                             .mul = rows_of<Mul>,
                                             .div = rows_of<Div>,
                                             .inverse_slope = rows_of<InverseSlope>,
                                             .maximum = rows_of<Maximum>,
                                             .minimum = rows_of<Minimum>,
                                             .share_of_larger = rows_of<ShareOfLarger>,
                                             .share_of_smaller = rows_of<ShareOfSmaller>,
                                             .sum_rows = sum_rows};
  return table;
}

}  // namespace gesso
