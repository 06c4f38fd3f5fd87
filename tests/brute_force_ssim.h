// SSIM by its definition, for tests to compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "train/image.h"

namespace gesso {

// The definition, window by window, with centred sums where metrics.cpp has differences of means.
inline double brute_force_ssim(const std::vector<double>& a, const std::vector<double>& b, const ImageShape& s,
                               int window) {
  std::vector<double> weights;
  double total = 0;
  for (int i = 0; i < window * window; ++i) {
    const double dy = i / window - window / 2, dx = i % window - window / 2;
    weights.push_back(std::exp(-(dx * dx + dy * dy) / 4.5));
    total += weights.back();
  }
  double sum = 0;
  int positions = 0;
  for (std::int64_t c = 0; c < s.channels; ++c)
    for (std::int64_t top = 0; top + window <= s.height; ++top)
      for (std::int64_t left = 0; left + window <= s.width; ++left, ++positions) {
        const auto value = [&](const std::vector<double>& image, int i) {
          return image[static_cast<std::size_t>(((top + i / window) * s.width + left + i % window) * s.channels + c)];
        };
        const auto mean = [&](auto&& term) {
          double m = 0;
          for (int i = 0; i < window * window; ++i) m += weights[static_cast<std::size_t>(i)] / total * term(i);
          return m;
        };
        const double ma = mean([&](int i) { return value(a, i); }), mb = mean([&](int i) { return value(b, i); });
        const double va = mean([&](int i) { return (value(a, i) - ma) * (value(a, i) - ma); });
        const double vb = mean([&](int i) { return (value(b, i) - mb) * (value(b, i) - mb); });
        const double cov = mean([&](int i) { return (value(a, i) - ma) * (value(b, i) - mb); });
        sum += (2 * ma * mb + 1e-4) / (ma * ma + mb * mb + 1e-4) * (2 * cov + 9e-4) / (va + vb + 9e-4);
      }
  return sum / positions;
}

}  // namespace gesso
