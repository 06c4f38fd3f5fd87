#include "ops/where_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;

// A row; an operand without elements of its own is its first one everywhere. Both are read before the choice, so that
// the compiler makes vectors of the loop.
template <bool kRowOfA, bool kRowOfB>
void choose(int64_t n, const uint8_t* condition, const float* a, const float* b, float* y) {
  const float first_a = *a, first_b = *b;
  for (int64_t i = 0; i < n; ++i) {
    const float from_a = kRowOfA ? a[i] : first_a, from_b = kRowOfB ? b[i] : first_b;
    y[i] = condition[i] != 0 ? from_a : from_b;
  }
}

void copy(int64_t n, RowOperand from, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = from.data[i * from.element];
}

void where(int64_t rows, int64_t n, RowCondition condition, RowOperand a, RowOperand b, float* y) {
  const auto choose_row = a.element ? (b.element ? choose<true, true> : choose<true, false>)
                                    : (b.element ? choose<false, true> : choose<false, false>);
  for (int64_t r = 0; r < rows; ++r, y += n) {
    if (condition.element)
      choose_row(n, condition.data, a.data, b.data, y);
    else
      copy(n, *condition.data != 0 ? a : b, y);
    condition.data += condition.row;
    a.data += a.row;
    b.data += b.row;
  }
}

}  // namespace

template <>
const WhereKernels& where_kernels<Tag>() {
  static constexpr WhereKernels table = {.where = where};
  return table;
}

}  // namespace gesso
