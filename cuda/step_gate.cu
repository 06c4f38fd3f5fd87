#include "cuda/block.h"
#include "cuda/step_gate.h"
#include "ops/step_fate.h"

namespace gesso::cuda {
namespace {

using ops::kPassedFate;
using ops::kSkippedFate;
using ops::StepVerdict;

constexpr int kThreads = 128;

// The lower middle one of n values, in each thread: the one below which (n - 1) / 2 others lie, of equal ones those
// that stand before it.
__device__ __forceinline__ float median(const float* values, int n) {
  CU_SHARED(float, middle);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) {
    const float value = values[i];
    int below = 0;
    for (int j = 0; j < n; ++j) below += values[j] < value || (values[j] == value && j < i) ? 1 : 0;
    if (below == (n - 1) / 2) middle = value;
  }
  __syncthreads();
  const float found = middle;
  __syncthreads();  // middle and values may be written again
  return found;
}

// Above which a value of the row is a spike. values: room for the row.
__device__ __forceinline__ float limit(const float* row, int n, float deviations, float* values) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) values[i] = row[i];
  __syncthreads();
  const float center = median(values, n);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) values[i] = fabsf(values[i] - center);
  __syncthreads();
  return center + deviations * fmaxf(1.4826f * median(values, n), fabsf(center) / 20.0f);
}

// How many of the steps before this one were skipped without one between that was not.
__device__ __forceinline__ std::int64_t skipped_in_row(const float* fates, int window, int column) {
  std::int64_t count = 0;
  for (int i = 1; i < window && fates[(column + window - i) % window] >= kSkippedFate; ++i) ++count;
  return count;
}

// One block.
__global__ void __launch_bounds__(kThreads) decide_step(StepGateCall c) {
  CU_SHARED(float, values, [ops::kMostStepsKnown]);
  const int column = static_cast<int>(*c.step % c.window);
  float *losses = c.recent, *norms = losses + c.window, *fates = norms + c.window;
  int known = 0, skipped = 0;
  for (int i = static_cast<int>(threadIdx.x); i < c.window; i += kThreads) {
    known += fates[i] > 0 && isfinite(losses[i]) && isfinite(norms[i]) ? 1 : 0;
    skipped += i != column && fates[i] >= kSkippedFate ? 1 : 0;
  }
  known = block_sum<kThreads>(known);
  skipped = block_sum<kThreads>(skipped);
  float loss_limit = 0, norm_limit = 0;
  if (known == c.window) {
    loss_limit = limit(losses, c.window, c.deviations, values);
    norm_limit = limit(norms, c.window, c.deviations, values);
  }
  if (threadIdx.x != 0) return;
  *c.gate = INFINITY;
  if (c.report[0] >= static_cast<float>(StepVerdict::too_many)) return;
  const float norm = *c.norm, loss = c.loss ? *c.loss : 0, sizes = c.sizes ? *c.sizes : 0;
  const bool is_spike = known == c.window && (loss > loss_limit || norm > norm_limit);
  StepVerdict verdict = StepVerdict::passed;
  if (!isfinite(norm) || !isfinite(loss) || !isfinite(sizes))
    verdict = StepVerdict::not_finite;
  else if (is_spike && !c.skips)
    verdict = StepVerdict::spike;
  else if (is_spike)
    verdict = skipped < c.most_in_window && skipped_in_row(fates, c.window, column) < c.most_in_row
                  ? StepVerdict::skipped
                  : StepVerdict::too_many;
  c.report[0] = static_cast<float>(verdict);
  c.report[1] = static_cast<float>(known);
  c.report[2] = loss_limit;
  c.report[3] = norm_limit;
  if (ops::stops(verdict)) return;
  losses[column] = loss;
  norms[column] = norm;
  fates[column] = static_cast<float>(verdict == StepVerdict::skipped ? kSkippedFate : kPassedFate);
  if (verdict != StepVerdict::skipped) *c.gate = norm;
}

void decide(cu::Stream stream, const StepGateCall& call) {
  cu::launch({.grid = dim3(1), .block = dim3(kThreads), .stream = stream}, decide_step, call);
}

}  // namespace

template <>
const StepGateKernels& step_gate_kernels<cu::Build>() {
  static constexpr StepGateKernels table = {.decide = decide};
  return table;
}

}  // namespace gesso::cuda
