#include "core/simd_math.h"
#include "tests/simd_probe.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

void exp_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::exp(a); }, y, x);
}
void log_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::log(a); }, y, x);
}
void sigmoid_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::sigmoid(a); }, y, x);
}
void tanh_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::tanh(a); }, y, x);
}
void sin_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::sin(a); }, y, x);
}
void cos_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::cos(a); }, y, x);
}
void softplus_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::softplus(a); }, y, x);
}
void normal_density_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::standard_normal(a).density; }, y, x);
}
void normal_below_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return simd::standard_normal(a).below; }, y, x);
}
void sqrt_of(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return sqrt(a); }, y, x);
}
void abs_and_negate(int64_t n, const float* x, float* y) {
  simd::map<Tag>(
      n, [](V a) { return -abs(a); }, y, x);
}
void fma_of(int64_t n, const float* a, const float* b, const float* c, float* y) {
  simd::map<Tag>(
      n, [](V p, V q, V r) { return fma(p, q, r); }, y, a, b, c);
}
void divide(int64_t n, const float* a, const float* b, float* y) {
  simd::map<Tag>(
      n, [](V p, V q) { return p / q; }, y, a, b);
}

void compare(int64_t n, int which, const float* a, const float* b, float* y) {
  const auto choose = [which](V p, V q) {
    const V yes = 1.0f, no = 0.0f;
    switch (which) {
      case 0:
        return select(p < q, yes, no);
      case 1:
        return select(p <= q, yes, no);
      case 2:
        return select(p == q, yes, no);
      case 3:
        return max(p, q);
      default:
        return min(p, q);
    }
  };
  simd::map<Tag>(n, choose, y, a, b);
}

void copy(int64_t n, const float* x, float* y) { V::load(x, n).store(y, n); }
float add_up(const float* x) { return reduce_add(V::load(x)); }
float largest(const float* x) { return reduce_max(V::load(x)); }
bool any_negative(const float* x) { return any(V::load(x) < V(0.0f)); }

}  // namespace

template <>
const SimdProbe& simd_probe<Tag>() {
  static constexpr SimdProbe table = {.lanes = V::kLanes,
                                      .exp = exp_of,
                                      .log = log_of,
                                      .sigmoid = sigmoid_of,
                                      .tanh = tanh_of,
                                      .sin = sin_of,
                                      .cos = cos_of,
                                      .softplus = softplus_of,
                                      .normal_density = normal_density_of,
                                      .normal_below = normal_below_of,
                                      .sqrt = sqrt_of,
                                      .abs_and_negate = abs_and_negate,
                                      .fma = fma_of,
                                      .divide = divide,
                                      .compare = compare,
                                      .copy = copy,
                                      .reduce_add = add_up,
                                      .reduce_max = largest,
                                      .any_negative = any_negative};
  return table;
}

}  // namespace gesso
