#include "train/histogram.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace gesso {

Histogram histogram_of(std::span<const float> values) {
  constexpr std::size_t kBuckets = 30;  // as many as TensorBoard draws
  Histogram histogram;
  histogram.min = std::numeric_limits<double>::infinity();
  histogram.max = -histogram.min;
  for (const float single : values) {
    if (!std::isfinite(single)) continue;
    const auto value = static_cast<double>(single);
    histogram.min = std::min(histogram.min, value);
    histogram.max = std::max(histogram.max, value);
    histogram.sum += value;
    histogram.sum_of_squares += value * value;
    ++histogram.count;
  }
  if (histogram.count == 0) return {};
  const double width = (histogram.max - histogram.min) / kBuckets;
  for (std::size_t i = 1; i < kBuckets; ++i) histogram.limits.push_back(histogram.min + width * static_cast<double>(i));
  histogram.limits.push_back(histogram.max);
  histogram.counts.assign(kBuckets, 0);
  for (const float single : values) {
    if (!std::isfinite(single)) continue;
    const double place = width > 0 ? (static_cast<double>(single) - histogram.min) / width : 0;
    ++histogram.counts[std::min(static_cast<std::size_t>(place), kBuckets - 1)];
  }
  return histogram;
}

Histogram histogram_by_rank(std::vector<std::int64_t> occurrences) {
  constexpr std::size_t kMostBuckets = 512;
  std::ranges::sort(occurrences, std::greater<>());
  const std::size_t things = occurrences.size(), buckets = std::min(things, kMostBuckets);
  Histogram histogram;
  histogram.max = static_cast<double>(things);
  for (std::size_t i = 0; i < buckets; ++i) {
    const std::size_t begin = things * i / buckets, end = things * (i + 1) / buckets;
    histogram.limits.push_back(static_cast<double>(end));
    histogram.counts.push_back(0);
    for (std::size_t rank = begin; rank < end; ++rank) {
      const auto times = static_cast<double>(occurrences[rank]), place = static_cast<double>(rank) + 0.5;
      histogram.counts.back() += times;
      histogram.count += times;
      histogram.sum += times * place;
      histogram.sum_of_squares += times * place * place;
    }
  }
  return histogram;
}

}  // namespace gesso
