#include "tools/ceilings_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using V = simd::Vec<simd::Native>;

// Independent chains: two units with a latency of four or five cycles need ten.
constexpr int kChains = 12;

float fma_loop(int64_t rounds) {
  V sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = static_cast<float>(i);
  const V factor = 0.999f, term = 1e-3f;
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = fma(sums[i], factor, term);
  }
  V total = 0.0f;
  for (int i = 0; i < kChains; ++i) total = total + sums[i];
  return reduce_add(total);
}

void copy(int64_t n, const float* x, float* y) {
  simd::map<simd::Native>(
      n, [](V a) { return a; }, y, x);
}

}  // namespace

template <>
const CeilingKernels& ceiling_kernels<simd::Native>() {
  static constexpr CeilingKernels table = {
      .fma_loop = fma_loop, .operations_a_round = 2 * kChains * V::kLanes, .copy = copy};
  return table;
}

}  // namespace gesso
