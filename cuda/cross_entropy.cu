#include "cuda/cross_entropy.h"
#include "cuda/cu.h"
#include "cuda/row_team.h"

namespace gesso::cuda {
namespace {

template <int kTeam>
__device__ __forceinline__ float highest_of(const RowTeam<kTeam>& team, std::int64_t width, const float* x) {
  float highest = -INFINITY;
  team.each(width, [&](std::int64_t i) { highest = Larger{}(highest, x[i]); });
  return team.template join<Larger>(highest, -INFINITY);
}

// softmax(x) = e^(x - highest) / sum: no exponent overflows, and at least one term of the sum is 1. All shares add up
// to 1, so of ln(sum) + highest - sum_k q_k x_k every part is positive: nothing cancels. What has no share of the
// target may be -infinity.
template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) losses_of_rows(SmoothedClasses of, float* losses) {
  const RowTeam<kTeam> team;
  const bool has_row = team.row < of.rows;
  const std::int64_t width = has_row ? of.width : 0;
  const float* x = of.logits + team.row * of.width;

  const float highest = highest_of(team, width, x);
  float sum = 0, below = 0;  // of exponentials; of distances to the highest
  team.each(width, [&](std::int64_t i) {
    sum += expf(x[i] - highest);
    if (of.rest != 0.0f) below += highest - x[i];
  });
  sum = team.sum(sum);
  below = team.sum(below);
  if (!has_row || team.member != 0) return;
  const std::int64_t label = of.index[team.row];
  float loss = logf(sum) + of.rest * below;
  if (label < 0 || label >= width)
    loss = NAN;
  else if (of.share != 0.0f)
    loss += of.share * (highest - x[label]);
  losses[team.row] = loss;
}

template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) gradient_of_rows(SmoothedClasses of, const float* dy, float* dx) {
  const RowTeam<kTeam> team;
  const bool has_row = team.row < of.rows;
  const std::int64_t width = has_row ? of.width : 0;
  const float* x = of.logits + team.row * of.width;
  float* gradient = dx + team.row * of.width;

  const float highest = highest_of(team, width, x);
  float sum = 0;
  team.each(width, [&](std::int64_t i) { sum += expf(x[i] - highest); });
  sum = team.sum(sum);
  const float slope = *dy / static_cast<float>(of.rows), factor = slope / sum, rest = slope * of.rest;
  const std::int64_t label = has_row ? of.index[team.row] : 0;
  team.each(width, [&](std::int64_t i) {
    const float predicted = fmaf(expf(x[i] - highest), factor, -rest);
    gradient[i] = i == label ? fmaf(-slope, of.share, predicted) : predicted;
  });
}

void losses(cu::Stream stream, const SmoothedClasses& of, float* to) {
  launch_rows(stream, of.rows, of.width, losses_of_rows<kWarp>, losses_of_rows<kRowThreads>, of, to);
}
void gradient(cu::Stream stream, const SmoothedClasses& of, const float* dy, float* dx) {
  launch_rows(stream, of.rows, of.width, gradient_of_rows<kWarp>, gradient_of_rows<kRowThreads>, of, dy, dx);
}

}  // namespace

template <>
const CrossEntropyKernels& cross_entropy_kernels<cu::Build>() {
  static constexpr CrossEntropyKernels table = {.losses = losses, .gradient = gradient};
  return table;
}

}  // namespace gesso::cuda
