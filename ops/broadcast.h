// What elementwise ops and reductions share: numpy's broadcasting, a loop over stretched operands, and its transpose,
// the sum over the axes that were stretched.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ops/axes.h"
#include "ops/broadcast_simd.h"
#include "ops/op.h"

namespace gesso {

// Aligned at the right; a dimension of 1 or a missing one stretches (numpy's rule). Throws, naming `op` and the
// operands.
Shape broadcast_shape(std::string_view op, const Spec& a, const Spec& b, std::string_view name_of_a = "a",
                      std::string_view name_of_b = "b");

// How far apart, in elements, the neighbours of an operand are along each dimension of the result; 0: stretched.
using Steps = std::array<std::int64_t, Shape::kMaxRank>;
Steps steps_of(const Shape& operand, const Shape& result);
// Where an operand with these steps holds what belongs to element i of the result.
std::int64_t position(std::int64_t i, const Shape& result, const Steps& steps);
// The dimensions of `result` along which the operand is stretched or missing.
Axes stretched_axes(const Shape& operand, const Shape& result);

const BroadcastKernels& broadcast_kernels(Isa isa);

constexpr std::size_t kMostOperands = 3;
// The dimensions of a loop, innermost first, neighbours joined where all operands allow it.
struct JoinedLoop {
  int rank = 0;
  Steps size;                              // 1 beyond the rank
  std::array<Steps, kMostOperands> steps;  // 0 beyond the rank, and of an operand that is not there
};
JoinedLoop join_dimensions(const Shape& result, std::span<const Steps> operands);

// A block of rows of a loop over stretched operands: where in an operand and in the result it begins, and how far apart
// its rows and its elements are.
struct Block {
  struct Place {
    std::int64_t begin = 0, row = 0, element = 0;
    RowOperand of(const float* data) const { return {data + begin, row, element}; }
  };
  std::int64_t rows, columns, result;
  std::array<Place, kMostOperands> operand;
};
// Calls body for blocks that together are the whole result, on all threads.
void for_each_block(const Execution& run, const Shape& result, std::span<const Steps> operands,
                    FunctionRef<void(const Block&)> body);

struct Stretched {
  const float* data;
  Shape shape;
};
// y = kernel(a, b), elementwise over `result`; y may be where an operand of that shape lies.
void apply_broadcast(const Execution& run, BinaryKernel kernel, const Shape& result, const Stretched& a,
                     const Stretched& b, float* y);

// y = scale * the sum of x[shape] over `over`, y in the order of the dimensions that stay. Sums run in double, in an
// order that depends on the shape alone.
void sum_axes(const Execution& run, const Stretched& x, Axes over, double scale, float* y);

}  // namespace gesso
