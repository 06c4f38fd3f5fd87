// A sum over chunks that threads share: in double, in the order of the chunks.
#pragma once

#include <numeric>

#include "ops/op.h"

namespace gesso {

// The sum of part(begin, end) over [0, n) in pieces of `grain`: the same bits for any number of threads. On a dry
// device 0.
template <class Part>
double sum_of_chunks(const Execution& run, std::int64_t n, std::int64_t grain, Part&& part) {
  const Tensor parts = run.scratch({{(n + grain - 1) / grain}, DType::f64});
  const std::span<double> sums = parts.data<double>();
  parallel_for(run.pool, n, grain, [&](std::int64_t begin, std::int64_t end) {
    sums[static_cast<std::size_t>(begin / grain)] = part(begin, end);
  });
  return run.computes() ? std::accumulate(sums.begin(), sums.end(), 0.0) : 0.0;
}

}  // namespace gesso
