#include "cuda/cu.h"
#include "cuda/row_team.h"
#include "cuda/softmax.h"

namespace gesso::cuda {
namespace {

// The row is read three times, twice of it from the caches.
template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) forward_rows(SoftmaxForward of) {
  const RowTeam<kTeam> team;
  const std::int64_t width = team.row < of.rows ? of.width : 0;
  const float* x = of.x + team.row * of.width;
  float* y = of.y + team.row * of.width;

  float highest = -INFINITY;
  team.each(width, [&](std::int64_t i) { highest = Larger{}(highest, x[i]); });
  highest = team.template join<Larger>(highest, -INFINITY);
  const float shift = highest == -INFINITY ? 0.0f : highest;  // -infinity less itself is NaN

  float sum = 0;
  team.each(width, [&](std::int64_t i) { sum += expf(x[i] - shift); });
  sum = team.sum(sum);
  if (of.logarithm) {
    const float log_sum = sum == 0.0f ? 0.0f : logf(sum);
    team.each(width, [&](std::int64_t i) { y[i] = x[i] - shift - log_sum; });
  } else {
    const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
    team.each(width, [&](std::int64_t i) { y[i] = expf(x[i] - shift) * factor; });
  }
}

template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) backward_rows(SoftmaxBackward of) {
  const RowTeam<kTeam> team;
  const std::int64_t width = team.row < of.rows ? of.width : 0, first = team.row * of.width;
  const float *y = of.y + first, *dy = of.dy + first;
  float* dx = of.dx + first;

  float sum = 0;  // of dy, weighted with y where y are not logarithms
  team.each(width, [&](std::int64_t i) { sum = of.logarithm ? sum + dy[i] : fmaf(y[i], dy[i], sum); });
  sum = team.sum(sum);
  if (of.logarithm)
    team.each(width, [&](std::int64_t i) { dx[i] = fmaf(-expf(y[i]), sum, dy[i]); });
  else
    team.each(width, [&](std::int64_t i) { dx[i] = y[i] * (dy[i] - sum); });
}

void forward(cu::Stream stream, const SoftmaxForward& of) {
  launch_rows(stream, of.rows, of.width, forward_rows<kWarp>, forward_rows<kRowThreads>, of);
}
void backward(cu::Stream stream, const SoftmaxBackward& of) {
  launch_rows(stream, of.rows, of.width, backward_rows<kWarp>, backward_rows<kRowThreads>, of);
}

}  // namespace

template <>
const SoftmaxKernels& softmax_kernels<cu::Build>() {
  static constexpr SoftmaxKernels table = {.forward = forward, .backward = backward};
  return table;
}

}  // namespace gesso::cuda
