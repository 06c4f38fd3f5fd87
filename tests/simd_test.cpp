#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "core/isa.h"
#include "tests/simd_probe.h"

namespace gesso {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
constexpr float kLargest = std::numeric_limits<float>::max();

const SimdProbe& probe(Isa isa) {
  return by_isa(isa, simd_probe<simd::Baseline>, simd_probe<simd::Avx2>, simd_probe<simd::Avx512>)();
}

// Every `step`-th float of the whole line, so all exponents and both signs.
std::vector<float> all_kinds_of_floats(std::uint32_t step) {
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xFFFFFFFFu; bits += step) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isfinite(value)) x.push_back(value);
  }
  return x;
}

std::vector<float> grid(double low, double high, int count) {
  std::vector<float> x;
  for (int i = 0; i < count; ++i) x.push_back(static_cast<float>(low + (high - low) * i / (count - 1)));
  return x;
}

// The distance of floats at `value`.
double spacing_at(double value) {
  const float magnitude = static_cast<float>(std::min(std::abs(value), static_cast<double>(kLargest)));
  return std::max(static_cast<double>(magnitude - std::nextafter(magnitude, 0.0f)), static_cast<double>(kSmallest));
}

using Function = void (*)(std::int64_t, const float*, float*);

// The largest error of `function` on x in units of the last place of the true value, computed in double.
template <class True>
double worst_ulp(Function function, const std::vector<float>& x, True truth) {
  std::vector<float> y(x.size());
  function(static_cast<std::int64_t>(x.size()), x.data(), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = truth(static_cast<double>(x[i]));
    if (std::isinf(y[i]) && std::abs(expected) > static_cast<double>(kLargest)) continue;
    const double error = std::abs(static_cast<double>(y[i]) - expected) / spacing_at(expected);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

float at(Function function, float x) {
  float y = 0;
  function(1, &x, &y);
  return y;
}

TEST_SUITE("simd") {
  TEST_CASE("exp is within 2 ulp of the truth, and right at the ends") {
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const auto exp = probe(isa).exp;
      const auto truth = [](double x) { return std::exp(x); };
      CHECK(worst_ulp(exp, grid(-104.5, 89.5, 400001), truth) < 2.0);
      CHECK(worst_ulp(exp, grid(-1e-3, 1e-3, 10001), truth) < 2.0);
      CHECK(worst_ulp(exp, all_kinds_of_floats(70001), truth) < 2.0);
      CHECK(at(exp, 0.0f) == 1.0f);
      CHECK(at(exp, -kInfinity) == 0.0f);
      CHECK(at(exp, kInfinity) == kInfinity);
      CHECK(at(exp, kLargest) == kInfinity);
      CHECK(std::isnan(at(exp, kNan)));
    }
  }

  TEST_CASE("log is within 2 ulp of the truth, and right at the ends") {
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const auto log = probe(isa).log;
      const auto truth = [](double x) { return std::log(x); };
      std::vector<float> positive = all_kinds_of_floats(30011);
      std::erase_if(positive, [](float x) { return !(x > 0); });
      CHECK(worst_ulp(log, positive, truth) < 2.0);
      CHECK(worst_ulp(log, grid(0.5, 2.0, 400001), truth) < 2.0);
      CHECK(worst_ulp(log, {kSmallest, kLargest}, truth) < 2.0);
      CHECK(at(log, 1.0f) == 0.0f);
      CHECK(at(log, 0.0f) == -kInfinity);
      CHECK(at(log, -0.0f) == -kInfinity);
      CHECK(at(log, kInfinity) == kInfinity);
      CHECK(std::isnan(at(log, -kSmallest)));
      CHECK(std::isnan(at(log, -kInfinity)));
      CHECK(std::isnan(at(log, kNan)));
    }
  }

  TEST_CASE("sigmoid and tanh are within 4 ulp of the truth, and right at the ends") {
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const SimdProbe& simd = probe(isa);
      const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
      const auto tanh = [](double x) { return std::tanh(x); };
      CHECK(worst_ulp(simd.sigmoid, grid(-105, 105, 400001), sigmoid) < 4.0);
      CHECK(worst_ulp(simd.sigmoid, all_kinds_of_floats(70001), sigmoid) < 4.0);
      CHECK(worst_ulp(simd.tanh, grid(-11, 11, 400001), tanh) < 4.0);
      CHECK(worst_ulp(simd.tanh, all_kinds_of_floats(70001), tanh) < 4.0);
      CHECK(at(simd.sigmoid, -kInfinity) == 0.0f);
      CHECK(at(simd.sigmoid, kInfinity) == 1.0f);
      CHECK(at(simd.tanh, -kInfinity) == -1.0f);
      CHECK(at(simd.tanh, kInfinity) == 1.0f);
      CHECK(std::isnan(at(simd.sigmoid, kNan)));
      CHECK(std::isnan(at(simd.tanh, kNan)));
    }
  }

  TEST_CASE("sin and cos are within 3 ulp of the truth for arguments of any size") {
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const SimdProbe& simd = probe(isa);
      const auto sin = [](double x) { return std::sin(x); };
      const auto cos = [](double x) { return std::cos(x); };
      std::vector<float> near_zeros;  // the floats beside each quarter turn, where most digits cancel
      for (int quarter = -6000; quarter <= 6000; ++quarter) {
        const float x = static_cast<float>(quarter * std::acos(-1.0) / 2);
        for (const float beside : {std::nextafter(x, -kLargest), x, std::nextafter(x, kLargest)})
          near_zeros.push_back(beside);
      }
      for (const auto& x : {grid(-7, 7, 400001), grid(-9000, 9000, 400001), near_zeros, all_kinds_of_floats(70001)}) {
        CHECK(worst_ulp(simd.sin, x, sin) < 3.0);
        CHECK(worst_ulp(simd.cos, x, cos) < 3.0);
      }
      CHECK(at(simd.sin, 0.0f) == 0.0f);
      CHECK(at(simd.cos, 0.0f) == 1.0f);
      for (const float x : {kInfinity, -kInfinity, kNan}) {
        CHECK(std::isnan(at(simd.sin, x)));
        CHECK(std::isnan(at(simd.cos, x)));
      }
    }
  }

  TEST_CASE("softplus is within 4 ulp of the truth, and right at the ends") {
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const auto softplus = probe(isa).softplus;
      const auto truth = [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); };
      CHECK(worst_ulp(softplus, grid(-105, 105, 400001), truth) < 4.0);
      CHECK(worst_ulp(softplus, all_kinds_of_floats(70001), truth) < 4.0);
      CHECK(at(softplus, -kInfinity) == 0.0f);
      CHECK(at(softplus, kInfinity) == kInfinity);
      CHECK(std::isnan(at(softplus, kNan)));
    }
  }

  TEST_CASE("the normal distribution keeps its digits in the tail") {
    const std::vector<float> x = grid(-12, 12, 400001);
    std::vector<float> density(x.size()), below(x.size());
    const auto n = static_cast<std::int64_t>(x.size());
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      probe(isa).normal_density(n, x.data(), density.data());
      probe(isa).normal_below(n, x.data(), below.data());
      int wrong = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        const double v = static_cast<double>(x[i]), allowed = 6 + v * v / 2;
        const double true_density = std::exp(-v * v / 2) / std::sqrt(2 * std::acos(-1.0));
        const double true_below = std::erfc(-v / std::sqrt(2.0)) / 2;
        if (!(std::abs(static_cast<double>(density[i]) - true_density) <= allowed * spacing_at(true_density))) ++wrong;
        if (!(std::abs(static_cast<double>(below[i]) - true_below) <= allowed * spacing_at(true_below))) ++wrong;
      }
      CHECK(wrong == 0);
      CHECK(at(probe(isa).normal_below, -kInfinity) == 0.0f);
      CHECK(at(probe(isa).normal_below, kInfinity) == 1.0f);
      CHECK(std::isnan(at(probe(isa).normal_below, kNan)));
    }
  }

  TEST_CASE("sqrt, division and sign operations round as IEEE 754 says") {
    const std::vector<float> x = all_kinds_of_floats(900001);
    const std::vector<float> divisor(x.rbegin(), x.rend());
    std::vector<float> y(x.size());
    const auto n = static_cast<std::int64_t>(x.size());
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      const auto count_wrong = [&](auto expected) {
        int wrong = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float e = expected(x[i], divisor[i]);
          if (!(y[i] == e || (std::isnan(y[i]) && std::isnan(e)))) ++wrong;
        }
        return wrong;
      };
      probe(isa).divide(n, x.data(), divisor.data(), y.data());
      CHECK(count_wrong([](float a, float b) { return a / b; }) == 0);
      probe(isa).abs_and_negate(n, x.data(), y.data());
      CHECK(count_wrong([](float a, float) { return -std::abs(a); }) == 0);
      probe(isa).sqrt(n, x.data(), y.data());
      CHECK(count_wrong([](float a, float) { return std::sqrt(a); }) == 0);
    }
  }

  TEST_CASE("fma rounds once where the machine can, twice on the baseline") {
    const float a = 1.0f + std::ldexp(1.0f, -12), c = -(1.0f + std::ldexp(1.0f, -11));
    for (const Isa isa : supported_isas()) {
      float y = 0;
      probe(isa).fma(1, &a, &a, &c, &y);
      CHECK(y == (isa == Isa::baseline ? 0.0f : std::ldexp(1.0f, -24)));
    }
  }

  TEST_CASE("comparisons, max and min treat NaN as said") {
    const std::vector<float> a = {1, 2, 2, kNan, 1, -kInfinity, kInfinity, -0.0f, 5};
    const std::vector<float> b = {2, 1, 2, 1, kNan, 0, kInfinity, 0.0f, -5};
    for (const Isa isa : supported_isas()) {
      INFO(std::string(name_of(isa)));
      std::vector<float> y(a.size());
      for (int which = 0; which < 5; ++which) {
        probe(isa).compare(static_cast<std::int64_t>(a.size()), which, a.data(), b.data(), y.data());
        for (std::size_t i = 0; i < a.size(); ++i) {
          const float expected[] = {a[i] < b[i] ? 1.0f : 0.0f, a[i] <= b[i] ? 1.0f : 0.0f, a[i] == b[i] ? 1.0f : 0.0f,
                                    a[i] > b[i] ? a[i] : b[i], a[i] < b[i] ? a[i] : b[i]};
          CHECK((y[i] == expected[which] || (std::isnan(y[i]) && std::isnan(expected[which]))));
        }
      }
    }
  }

  TEST_CASE("partial loads and stores touch nothing beyond") {
    for (const Isa isa : supported_isas()) {
      const SimdProbe& simd = probe(isa);
      for (int n = 0; n <= simd.lanes; ++n) {
        // Exactly n readable floats: an address sanitizer sees a wider access.
        std::vector<float> x(static_cast<std::size_t>(n)), y(static_cast<std::size_t>(simd.lanes) + 1, -1.0f);
        std::iota(x.begin(), x.end(), 1.0f);
        simd.copy(n, x.data(), y.data());
        for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == (i < x.size() ? x[i] : -1.0f));
      }
      for (int n = 0; n <= 3 * simd.lanes; ++n) {
        const std::vector<float> x(static_cast<std::size_t>(n), 4.0f);
        std::vector<float> y(static_cast<std::size_t>(n) + 1, -1.0f);
        simd.sqrt(n, x.data(), y.data());
        CHECK(std::count(y.begin(), y.end() - 1, 2.0f) == n);
        CHECK(y.back() == -1.0f);
      }
    }
  }

  TEST_CASE("a result does not depend on where in a vector its element lies") {
    const std::vector<float> x = grid(-20, 20, 199);
    for (const Isa isa : supported_isas()) {
      std::vector<float> together(x.size());
      probe(isa).sigmoid(199, x.data(), together.data());
      for (std::size_t i = 0; i < x.size(); ++i) CHECK(at(probe(isa).sigmoid, x[i]) == together[i]);
    }
  }

  TEST_CASE("reductions see every lane, in the order of folding halves") {
    for (const Isa isa : supported_isas()) {
      const SimdProbe& simd = probe(isa);
      const auto lanes = static_cast<std::size_t>(simd.lanes);
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        std::vector<float> x(lanes, 0.0f);
        x[lane] = 3.0f;
        CHECK(simd.reduce_add(x.data()) == 3.0f);
        CHECK(simd.reduce_max(x.data()) == 3.0f);
        CHECK(!simd.any_negative(x.data()));
        x[lane] = -3.0f;
        CHECK(simd.any_negative(x.data()));
        CHECK(simd.reduce_max(x.data()) == 0.0f);
      }
      std::vector<float> x(lanes);
      for (std::size_t i = 0; i < lanes; ++i) x[i] = 1.0f / static_cast<float>(3 * i + 1);
      std::vector<float> folded = x;
      for (std::size_t half = lanes / 2; half > 0; half /= 2)
        for (std::size_t i = 0; i < half; ++i) folded[i] += folded[i + half];
      CHECK(simd.reduce_add(x.data()) == folded[0]);
    }
  }
}

}  // namespace
}  // namespace gesso
