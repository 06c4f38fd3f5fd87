// How values spread: counts of them in buckets side by side.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gesso {

struct Histogram {
  double min = 0, max = 0;  // of the values
  double count = 0, sum = 0, sum_of_squares = 0;
  std::vector<double> limits;  // [buckets], rising: bucket i reaches from the limit before (or min) to its own
  std::vector<double> counts;  // [buckets]
};

// In 30 buckets of one width. Values that are not finite are left out.
Histogram histogram_of(std::span<const float> values);

// Of things numbered 0, 1, ... from the most frequent to the rarest: bucket i holds how often the things in it
// occurred. At most 512 buckets, so many things may share one.
Histogram histogram_by_rank(std::vector<std::int64_t> occurrences);

}  // namespace gesso
