#include "cuda/block.h"
#include "cuda/softmax.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kLongRow = 1024;  // of more elements: a block each, else a warp

struct Softmax {
  static __device__ float value(float x, float shift, float sum) { return sum == 0.0f ? 0.0f : expf(x - shift) / sum; }
  // The term that a row's gradients share is summed.
  static __device__ float term(float y, float dy) { return y * dy; }
  static __device__ float gradient(float y, float dy, float shared) { return y * (dy - shared); }
};
struct LogSoftmax {
  static __device__ float value(float x, float shift, float sum) {
    return sum == 0.0f ? -INFINITY : x - shift - logf(sum);
  }
  static __device__ float term(float, float dy) { return dy; }
  static __device__ float gradient(float y, float dy, float shared) { return dy - expf(y) * shared; }
};

// kTeam threads, a warp or a block, have a row.
template <int kTeam, class Join>
__device__ __forceinline__ float join_team(float value, float nothing) {
  if constexpr (kTeam == kWarp)
    return warp_join<Join>(value);
  else
    return block_join<kTeam, Join>(value, nothing);
}
struct Row {
  std::int64_t begin, K;
  int lane;
};
// Of a row beyond the last: no elements.
template <int kTeam>
__device__ __forceinline__ Row row_of_team(std::int64_t rows, std::int64_t K) {
  const int team = static_cast<int>(threadIdx.x) / kTeam;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (kThreads / kTeam) + team;
  return {row * K, row < rows ? K : 0, static_cast<int>(threadIdx.x) % kTeam};
}

template <class F, int kTeam>
__global__ void __launch_bounds__(kThreads) forward(SoftmaxForward call) {
  const Row row = row_of_team<kTeam>(call.rows, call.K);
  const float* x = call.x + row.begin;
  float largest = -INFINITY, sum = 0.0f;
  for (std::int64_t k = row.lane; k < row.K; k += kTeam) largest = Larger{}(largest, x[k]);
  largest = join_team<kTeam, Larger>(largest, -INFINITY);
  const float shift = largest == -INFINITY ? 0.0f : largest;  // -infinity less itself would be NaN
  for (std::int64_t k = row.lane; k < row.K; k += kTeam) sum += expf(x[k] - shift);
  sum = join_team<kTeam, Plus>(sum, 0.0f);
  for (std::int64_t k = row.lane; k < row.K; k += kTeam) call.y[row.begin + k] = F::value(x[k], shift, sum);
}

template <class F, int kTeam>
__global__ void __launch_bounds__(kThreads) backward(SoftmaxBackward call) {
  const Row row = row_of_team<kTeam>(call.rows, call.K);
  const float *y = call.y + row.begin, *dy = call.dy + row.begin;
  float shared = 0.0f;
  for (std::int64_t k = row.lane; k < row.K; k += kTeam) shared += F::term(y[k], dy[k]);
  shared = join_team<kTeam, Plus>(shared, 0.0f);
  for (std::int64_t k = row.lane; k < row.K; k += kTeam) call.dx[row.begin + k] = F::gradient(y[k], dy[k], shared);
}

template <class Call>
void run(cu::Stream stream, const Call& call, void (*a_warp_each)(Call), void (*a_block_each)(Call)) {
  const bool long_rows = call.K > kLongRow;
  const std::int64_t rows_a_block = long_rows ? 1 : kThreads / kWarp;
  const auto blocks = static_cast<unsigned>((call.rows + rows_a_block - 1) / rows_a_block);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, long_rows ? a_block_each : a_warp_each,
             call);
}
template <class F>
void run_forward(cu::Stream stream, const SoftmaxForward& call) {
  run(stream, call, forward<F, kWarp>, forward<F, kThreads>);
}
template <class F>
void run_backward(cu::Stream stream, const SoftmaxBackward& call) {
  run(stream, call, backward<F, kWarp>, backward<F, kThreads>);
}
template <class F>
constexpr SoftmaxFunction function() {
  return {.forward = run_forward<F>, .backward = run_backward<F>};
}

}  // namespace

template <>
const SoftmaxKernels& softmax_kernels<cu::Build>() {
  static constexpr SoftmaxKernels table = {.softmax = function<Softmax>(), .log_softmax = function<LogSoftmax>()};
  return table;
}

}  // namespace gesso::cuda
