// More functions over the vectors of core/simd.h, for the few kernels that need them; the rules of that header hold.
#pragma once

#include "core/simd.h"

namespace gesso::simd {

// x less n quarter turns, n pi/2 with |n| < 2^13. pi/2 in four parts, the first three of so few digits that n times
// each is exact (Cody and Waite), so that what is left keeps its digits near the zeros of sine and cosine.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> less_quarter_turns(Vec<Tag> x, Vec<Tag> n) {
  const Vec<Tag> rest = fma(n, -4.8351287841796875e-4f, fma(n, -1.5703125f, x));
  return fma(n, -6.07710051e-11f, fma(n, -3.13855707645416260e-7f, rest));
}

// sin(r + n pi/2) for |r| <= pi/4 and an integer n: of the series of sin r and of cos r what counts, relative to the
// result below 2^-28.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> sine_after_quarter_turns(Vec<Tag> r, Vec<Tag> n) {
  using V = Vec<Tag>;
  const V z = r * r;
  const V sine = fma(r * z, polynomial(z, 1.0f / 362880, -1.0f / 5040, 1.0f / 120, -1.0f / 6), r);
  const V cosine = polynomial(z, -1.0f / 3628800, 1.0f / 40320, -1.0f / 720, 1.0f / 24, -0.5f, 1.0f);
  const V quarter = n - round(n * 0.25f) * 4.0f;  // of n modulo 4: -2 or 2, -1, 0, 1
  const V y = select(abs(quarter) == V(1.0f), cosine, sine);
  return select(V(1.0f) < abs(quarter - 0.5f), -y, y);
}

// y, but exact(x) in double, one by one, where |x| > 8192: there the quarter turns have too many digits.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> unless_far(Vec<Tag> x, Vec<Tag> y, double (*exact)(double)) {
  const auto far = Vec<Tag>(8192.0f) < abs(x);
  if (!any(far)) return y;
  float lanes[Vec<Tag>::kLanes];
  x.store(lanes);
  for (float& lane : lanes) lane = static_cast<float>(exact(static_cast<double>(lane)));
  return select(far, Vec<Tag>::load(lanes), y);
}

// Within 3 ulp for all x; NaN of an infinity.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> sin(Vec<Tag> x) {
  const Vec<Tag> n = round(x * 0.636619772f);
  return unless_far(x, sine_after_quarter_turns(less_quarter_turns(x, n), n), &::sin);
}

// Within 3 ulp for all x; NaN of an infinity.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> cos(Vec<Tag> x) {
  const Vec<Tag> n = round(x * 0.636619772f);
  return unless_far(x, sine_after_quarter_turns(less_quarter_turns(x, n), n + 1.0f), &::cos);
}

// ln(1 + e^x) - max(x, 0) = ln(1 + e) with e = e^-|x|, as 2 (s + s^3/3 + s^5/5 + ...) with s = e / (2 + e) <= 1/3:
// small results keep their digits. What follows of the series is below 2^-29.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> softplus_above_relu(Vec<Tag> x) {
  const Vec<Tag> e = exp(-abs(x)), s = e / (e + 2.0f);
  return s *
         polynomial(s * s, 2.0f / 17, 2.0f / 15, 2.0f / 13, 2.0f / 11, 2.0f / 9, 2.0f / 7, 2.0f / 5, 2.0f / 3, 2.0f);
}

// ln(1 + e^x) within 4 ulp; nothing overflows.
template <class Tag>
[[gnu::always_inline]] inline Vec<Tag> softplus(Vec<Tag> x) {
  return max(Vec<Tag>(0.0f), x) + softplus_above_relu(x);  // NaN passes
}

// The standard normal distribution at x: its density, and the probability of a value below x, (1 + erf(x / sqrt 2))
// / 2.
template <class Tag>
struct Normal {
  Vec<Tag> density, below;
};

// Both within 6 + x^2 / 2 ulp, also in the lower tail, which is no difference: e^(-x^2/2) has the rounding of x^2. The
// tail beyond |x| is e^(-x^2/2) t P(t) with t = 1 / (1 + 0.3 |x|); P is a Chebyshev fit of ours over |x| <= 15 (beyond,
// the tail is 0 in float), relative error 5e-9.
template <class Tag>
[[gnu::always_inline]] inline Normal<Tag> standard_normal(Vec<Tag> x) {
  using V = Vec<Tag>;
  const V e = exp(x * x * -0.5f), t = V(1.0f) / fma(abs(x), V(0.3f), V(1.0f));
  const V fit = polynomial(t, -0.0209846694f, 0.114402112f, -0.232835483f, 0.197921644f, -0.0844812825f, 0.0988308413f,
                           0.0774857706f, 0.110423197f, 0.119550118f, 0.11968775f);
  const V tail = e * t * fit;
  return {e * 0.398942280f, select(x < V(0.0f), tail, V(1.0f) - tail)};
}

}  // namespace gesso::simd
