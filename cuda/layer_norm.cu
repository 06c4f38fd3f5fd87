#include "cuda/cu.h"
#include "cuda/layer_norm.h"
#include "cuda/row_team.h"

namespace gesso::cuda {
namespace {

// Two passes over a row that lies in the caches: the mean of squares less the square of the mean loses all digits
// where the mean is large.
template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) forward_rows(LayerNormForward of) {
  const RowTeam<kTeam> team;
  const bool has_row = team.row < of.rows;
  const std::int64_t width = has_row ? of.width : 0;
  const float* x = of.x + team.row * of.width;
  float* y = of.y + team.row * of.width;

  float mean = 0;
  if (of.mean != nullptr) {
    team.each(width, [&](std::int64_t i) { mean += x[i]; });
    mean = team.sum(mean) / static_cast<float>(of.width);
  }
  float squares = 0;
  team.each(width, [&](std::int64_t i) { squares = fmaf(x[i] - mean, x[i] - mean, squares); });
  const float rstd = 1.0f / sqrtf(team.sum(squares) / static_cast<float>(of.width) + of.eps);
  team.each(width, [&](std::int64_t i) {
    const float xhat = (x[i] - mean) * rstd;
    y[i] = fmaf(xhat, of.weight != nullptr ? of.weight[i] : 1.0f, of.bias != nullptr ? of.bias[i] : 0.0f);
  });
  if (!has_row || team.member != 0) return;
  if (of.mean != nullptr) of.mean[team.row] = mean;
  of.rstd[team.row] = rstd;
}

// dx = rstd weight dy + slope xhat + shift, the last two being what the statistics add.
template <int kTeam>
__global__ void __launch_bounds__(kRowThreads) backward_rows(LayerNormBackward of) {
  const RowTeam<kTeam> team;
  const bool has_row = team.row < of.rows;
  const std::int64_t width = has_row ? of.width : 0, first = team.row * of.width;
  const auto of_row = [&](const float* values) { return has_row && values != nullptr ? values[team.row] : 0.0f; };
  const float mean = of_row(of.mean), rstd = of_row(of.rstd);
  const auto xhat_at = [&](std::int64_t i) { return (of.x[first + i] - mean) * rstd; };
  const auto weighted_dy_at = [&](std::int64_t i) {
    const float dy = of.dy != nullptr ? of.dy[first + i] : 0.0f;
    return of.weight != nullptr ? dy * of.weight[i] : dy;
  };

  float sum = 0, sum_xhat = 0;  // of weight dy, and times xhat
  team.each(width, [&](std::int64_t i) {
    const float gradient = weighted_dy_at(i);
    sum += gradient;
    sum_xhat = fmaf(gradient, xhat_at(i), sum_xhat);
  });
  sum = team.sum(sum);
  sum_xhat = team.sum(sum_xhat);
  const float count = static_cast<float>(of.width);
  const float slope = -rstd * (sum_xhat + of_row(of.drstd) * rstd) / count;
  const float shift = of.mean != nullptr ? (of_row(of.dmean) - rstd * sum) / count : 0.0f;
  team.each(width,
            [&](std::int64_t i) { of.dx[first + i] = fmaf(rstd, weighted_dy_at(i), fmaf(slope, xhat_at(i), shift)); });
}

// A warp reads 32 neighbouring columns of a row; the block's warps share the rows of the chunk out among them, and
// their sums are added in their order.
__global__ void __launch_bounds__(kRowThreads) sum_columns(LayerNormSums of, std::int64_t tiles) {
  constexpr int kWarps = kRowThreads / kWarp;
  CU_SHARED(float, of_weight, [kWarps][kWarp]);
  CU_SHARED(float, of_bias, [kWarps][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t chunk = blockIdx.x / tiles, column = blockIdx.x % tiles * kWarp + lane;
  const std::int64_t begin = chunk * of.kChunkRows;
  const std::int64_t end = begin + of.kChunkRows < of.rows ? begin + of.kChunkRows : of.rows;

  float dweight = 0, dbias = 0;
  for (std::int64_t row = begin + warp; column < of.width && row < end; row += kWarps) {
    const float dy = of.dy[row * of.width + column], mean = of.mean != nullptr ? of.mean[row] : 0.0f;
    dweight = fmaf(dy, (of.x[row * of.width + column] - mean) * of.rstd[row], dweight);
    dbias += dy;
  }
  of_weight[warp][lane] = dweight;
  of_bias[warp][lane] = dbias;
  __syncthreads();
  if (warp > 1 || column >= of.width) return;
  const auto& parts = warp == 0 ? of_weight : of_bias;
  float* to = warp == 0 ? of.dweight : of.dbias;
  if (to == nullptr) return;
  float sum = 0;
  CU_UNROLL
  for (int i = 0; i < kWarps; ++i) sum += parts[i][lane];
  to[chunk * of.width + column] = sum;
}

void forward(cu::Stream stream, const LayerNormForward& of) {
  launch_rows(stream, of.rows, of.width, forward_rows<kWarp>, forward_rows<kRowThreads>, of);
}
void backward(cu::Stream stream, const LayerNormBackward& of) {
  launch_rows(stream, of.rows, of.width, backward_rows<kWarp>, backward_rows<kRowThreads>, of);
}
void sums(cu::Stream stream, const LayerNormSums& of) {
  const std::int64_t tiles = (of.width + kWarp - 1) / kWarp;
  const auto blocks = static_cast<unsigned>(tiles * LayerNormSums::chunks_of(of.rows));
  if (blocks == 0) return;
  cu::launch({.grid = dim3(blocks), .block = dim3(kRowThreads), .stream = stream}, sum_columns, of, tiles);
}

}  // namespace

template <>
const LayerNormKernels& layer_norm_kernels<cu::Build>() {
  static constexpr LayerNormKernels table = {.forward = forward, .backward = backward, .sums = sums};
  return table;
}

}  // namespace gesso::cuda
