// Kernels that move elements of any type: permute, slice, pad, concat, split, layouts of weights.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/divisor.h"

namespace gesso::cuda {

constexpr int kMoveRank = 6;

// One dimension of what is written. Place i is read from place i + offset of from_size; steps in units.
struct MoveDimension {
  Divisor size = {};
  std::int64_t offset = 0, from_size = 0, from_step = 0, to_step = 0;
};
// Rows of neighbouring units of 1, 2, 4, 8 or 16 bytes, unit i from unit i + offset of a row of from_width. What lies
// outside is zero, or with repeat_edge the nearest place that lies inside (rows are whole then).
struct MoveRows {
  std::int64_t rows = 0;
  int rank = 0;  // of the rows; innermost first
  MoveDimension dim[kMoveRank] = {};
  std::int64_t width = 0, offset = 0, from_width = 0;
  bool repeat_edge = false;
  int unit = 1, lanes = 1;     // bytes; threads a row
  const void* from = nullptr;  // null: zeros
  void* to = nullptr;
};
// Matrices: to[j][i] = from[i][j] for i below rows, j below columns; elements of 1, 2, 4 or 8 bytes.
struct MoveTransposed {
  std::int64_t matrices = 1, rows = 0, columns = 0;
  std::int64_t from_step = 0, to_step = 0;  // elements from one row to the next, and from one column to the next
  int rank = 0;                             // of the matrices
  MoveDimension dim[kMoveRank] = {};
  int element = 1;
  const void* from = nullptr;
  void* to = nullptr;
};
// dx = the sums of dy over the places that repeat an element of x: its own, and at the ends of a dimension the padding
// beside it. Innermost dimension first.
struct RepeatDimension {
  Divisor size = {};
  std::int64_t before = 0, padded = 0, step = 0;  // step: of dy
};
struct AddRepeats {
  std::int64_t count = 0;
  int rank = 0;
  RepeatDimension dim[kMoveRank] = {};
  const float* dy = nullptr;
  float* dx = nullptr;
};

struct MovementKernels {
  void (*rows)(cu::Stream stream, const MoveRows& move);
  void (*transposed)(cu::Stream stream, const MoveTransposed& move);
  void (*add_repeats)(cu::Stream stream, const AddRepeats& add);
};
template <class Build>
const MovementKernels& movement_kernels();

void register_movement(DeviceKind device, const MovementKernels& kernels);

}  // namespace gesso::cuda
