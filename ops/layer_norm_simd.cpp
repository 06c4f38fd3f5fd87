#include "ops/layer_norm_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

constexpr int64_t kLanes = V::kLanes;
// A row is summed in four chains of vectors, in runs of so many steps, and then the runs: the rounding error grows with
// the run, not with the row.
constexpr int64_t kChains = 4, kRun = 64 * kChains * kLanes;

// 0 in the lanes beyond the first `count`.
[[gnu::always_inline]] inline V first_lanes(V x, int64_t count) {
  if (count >= kLanes) return x;
  float lanes[kLanes];
  x.store(lanes);
  return V::load(lanes, count);
}

// sums[s] = sum over i < n of what term(i, count, terms) writes into terms[s], for `count` elements at a time.
template <int kSums, class Term>
[[gnu::always_inline]] inline void sum_row(int64_t n, float (&sums)[kSums], Term term) {
  V total[kSums];
  for (V& vector : total) vector = 0.0f;
  for (int64_t begin = 0; begin < n; begin += kRun) {
    V part[kSums][kChains];
    for (auto& chains : part)
      for (V& chain : chains) chain = 0.0f;
    const int64_t end = begin + kRun < n ? begin + kRun : n;
    int64_t i = begin;
    for (; i + kChains * kLanes <= end; i += kChains * kLanes)
#pragma GCC unroll 4
      for (int64_t chain = 0; chain < kChains; ++chain) {
        V terms[kSums];
        term(i + chain * kLanes, kLanes, terms);
        for (int s = 0; s < kSums; ++s) part[s][chain] = part[s][chain] + terms[s];
      }
    for (; i < end; i += kLanes) {
      const int64_t count = end - i < kLanes ? end - i : kLanes;
      V terms[kSums];
      term(i, count, terms);
      for (int s = 0; s < kSums; ++s) part[s][0] = part[s][0] + first_lanes(terms[s], count);
    }
    for (int s = 0; s < kSums; ++s) total[s] = total[s] + ((part[s][0] + part[s][1]) + (part[s][2] + part[s][3]));
  }
  for (int s = 0; s < kSums; ++s) sums[s] = reduce_add(total[s]);
}

// Two passes: the mean of squares minus the square of the mean loses all digits where the mean is large.
template <bool kCentred>
void forward_as(const LayerNormRows& of) {
  const double width = static_cast<double>(of.width);
  for (int64_t r = 0; r < of.rows; ++r) {
    const float* x = of.x + r * of.width;
    float *y = of.y + r * of.width, mean = 0, sums[1];
    if constexpr (kCentred) {
      sum_row<1>(
          of.width, sums, [=](int64_t i, int64_t count, V(&terms)[1]) __attribute__((always_inline)) {
            terms[0] = V::load(x + i, count);
          });
      of.mean[r] = mean = static_cast<float>(static_cast<double>(sums[0]) / width);
    }
    sum_row<1>(
        of.width, sums, [=](int64_t i, int64_t count, V(&terms)[1]) __attribute__((always_inline)) {
          const V centred = V::load(x + i, count) - mean;
          terms[0] = centred * centred;
        });
    const float rstd = static_cast<float>(1 / sqrt(static_cast<double>(sums[0]) / width + static_cast<double>(of.eps)));
    of.rstd[r] = rstd;
    simd::for_each_vector<Tag>(
        of.width, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
          const V xhat = (V::load(x + i, count) - mean) * rstd;
          fma(xhat, V::load(of.weight + i, count), V::load(of.bias + i, count)).store(y + i, count);
        });
  }
}
void forward(const LayerNormRows& of) { of.mean != nullptr ? forward_as<true>(of) : forward_as<false>(of); }

// dx = rstd weight dy + slope xhat + shift, the last two being what the statistics add:
// slope = -(rstd sum(weight dy xhat) + drstd rstd^2) / width, shift = (dmean - rstd sum(weight dy)) / width.
template <bool kCentred>
void backward_as(const LayerNormGradient& of) {
  const double width = static_cast<double>(of.width);
  for (int64_t r = 0; r < of.rows; ++r) {
    const float *x = of.x + r * of.width, *dy = of.dy + r * of.width;
    const float mean = kCentred ? of.mean[r] : 0, rstd = of.rstd[r];
    float sums[2];  // of weight dy, and times xhat
    sum_row<2>(
        of.width, sums, [&](int64_t i, int64_t count, V(&terms)[2]) __attribute__((always_inline)) {
          const V xhat = (V::load(x + i, count) - mean) * rstd, gradient = V::load(dy + i, count);
          if (of.dweight != nullptr) fma(gradient, xhat, V::load(of.dweight + i, count)).store(of.dweight + i, count);
          if (of.dbias != nullptr) (gradient + V::load(of.dbias + i, count)).store(of.dbias + i, count);
          terms[0] = gradient * V::load(of.weight + i, count);
          terms[1] = terms[0] * xhat;
        });
    if (of.dx == nullptr) continue;
    const double scale = rstd, dmean = of.dmean != nullptr ? of.dmean[r] : 0;
    const double drstd = of.drstd != nullptr ? of.drstd[r] : 0;
    const float slope = static_cast<float>(-scale * (static_cast<double>(sums[1]) + drstd * scale) / width);
    const float shift = kCentred ? static_cast<float>((dmean - scale * static_cast<double>(sums[0])) / width) : 0;
    float* dx = of.dx + r * of.width;
    simd::for_each_vector<Tag>(
        of.width, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
          const V xhat = (V::load(x + i, count) - mean) * rstd;
          const V direct = V::load(dy + i, count) * V::load(of.weight + i, count) * rstd;
          (direct + fma(xhat, slope, shift)).store(dx + i, count);
        });
  }
}
void backward(const LayerNormGradient& of) {
  for (int64_t i = 0; of.dweight != nullptr && i < of.width; ++i) of.dweight[i] = 0;
  for (int64_t i = 0; of.dbias != nullptr && i < of.width; ++i) of.dbias[i] = 0;
  of.mean != nullptr ? backward_as<true>(of) : backward_as<false>(of);
}

}  // namespace

template <>
const LayerNormKernels& layer_norm_kernels<Tag>() {
  static constexpr LayerNormKernels table = {.forward = forward, .backward = backward};
  return table;
}

}  // namespace gesso
