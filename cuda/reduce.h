// Kernels of reductions over any axes, in steps that each join elements along one dimension.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/divisor.h"

namespace gesso::cuda {

// [outer,r,inner] elements or parts become [outer,chunks,inner] parts, each of at most `rows` neighbours along r; in
// the last step, where there is one chunk, results. A block's threads are columns x lanes x units: 2^lane_bits of them
// share a part, 2^column_bits neighbours along inner lie side by side. Units count tiles of columns fastest, then
// chunks.
struct ReduceStep {
  std::int64_t outer = 1, r = 1, inner = 1;
  std::int64_t rows = 1, units = 1;
  Divisor tiles{}, chunks{};
  int column_bits = 0, lane_bits = 0;
  bool first = true, last = true;
  // What lies between neighbours along r in the numbering of the elements that a result is made of; 0: parts know their
  // numbers already.
  std::int64_t number_step = 1;
  const void* from = nullptr;  // first: f32 elements, else parts
  void* to = nullptr;          // last: results, else parts
};
constexpr int kReduceBits = 8, kReduceThreads = 1 << kReduceBits;

// A part of a largest or smallest element: its value and its number.
struct Extreme {
  float value;
  std::int32_t number;
};
struct SumAndSquares {
  double sum, squares;
};

// Dimensions of a dense tensor, innermost first: their sizes, and how far apart neighbours lie.
struct Dimensions {
  Divisor size[6];
  std::int64_t step[6];
};
// dx is 0 but for one element of each result: the one of that number among those along `reduced`, which takes dy.
struct PickedGradient {
  std::int64_t results;
  Dimensions kept, reduced;
  const float* dy;
  const std::int32_t* number;
  float* dx;  // zeros before
};

struct ReduceKernels {
  // Parts are sums in double; results f32, times scale.
  void (*sum)(cu::Stream stream, const ReduceStep& step, double scale);
  // Parts are sums of squares in double; results their roots, f32.
  void (*norm)(cu::Stream stream, const ReduceStep& step);
  // Parts are SumAndSquares; results f32, of n elements each.
  void (*variance)(cu::Stream stream, const ReduceStep& step, double n, double correction);
  // Parts are Extremes; results numbers (i32) and, unless values is null, values. The first of equal ones, NaN before
  // all others.
  void (*largest)(cu::Stream stream, const ReduceStep& step, float* values);
  void (*smallest)(cu::Stream stream, const ReduceStep& step);
  void (*scatter_picked)(cu::Stream stream, const PickedGradient& call);
};
template <class Build>
const ReduceKernels& reduce_kernels();

void register_reduce(DeviceKind device, const ReduceKernels& kernels);

}  // namespace gesso::cuda
