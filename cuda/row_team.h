// The threads that own one row of a matrix: a warp where rows are short, else a block. Included by .cu files.
#pragma once

#include <utility>

#include "cuda/block.h"

namespace gesso::cuda {
namespace {

constexpr int kRowThreads = 256;  // of a block
constexpr std::int64_t kWidestOfWarp = 1024;

template <int kTeam>
struct RowTeam {
  static_assert(kTeam == kWarp || kTeam == kRowThreads);
  std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (kRowThreads / kTeam) + threadIdx.x / kTeam;
  int member = static_cast<int>(threadIdx.x) % kTeam;

  // visit(i) for each element i < width of the row that is this thread's.
  template <class Visit>
  __device__ __forceinline__ void each(std::int64_t width, Visit&& visit) const {
    for (std::int64_t i = member; i < width; i += kTeam) visit(i);
  }
  // The join of all the team's values, in each thread. nothing: what changes no value that it is joined with.
  template <class Join, class T>
  __device__ __forceinline__ T join(T value, T nothing, Join how = {}) const {
    if constexpr (kTeam == kWarp)
      return warp_join(value, how);
    else
      return block_join<kRowThreads>(value, nothing, how);
  }
  __device__ __forceinline__ float sum(float value) const { return join<Plus>(value, 0.0f); }
};

// Starts a team for each row; those of the last block may have none, and find their row at or beyond `rows`.
template <class... Parameters, class... Arguments>
void launch_rows(cu::Stream stream, std::int64_t rows, std::int64_t width, void (*of_warps)(Parameters...),
                 void (*of_blocks)(Parameters...), Arguments&&... arguments) {
  if (rows == 0 || width == 0) return;
  constexpr std::int64_t kWarps = kRowThreads / kWarp;
  const bool by_warp = width <= kWidestOfWarp;
  const auto blocks = static_cast<unsigned>(by_warp ? (rows + kWarps - 1) / kWarps : rows);
  cu::launch({.grid = dim3(blocks), .block = dim3(kRowThreads), .stream = stream}, by_warp ? of_warps : of_blocks,
             std::forward<Arguments>(arguments)...);
}

}  // namespace
}  // namespace gesso::cuda
