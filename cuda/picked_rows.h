// Kernels that take rows by their numbers, and that sum rows by the number that each has.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

// y[o,j,:] = x[o,index[j],:], in units of 1, 2, 4, 8 or 16 bytes. Where index[j] does not lie in [0, rows), all bits of
// the row are set, which is NaN, or -1: a kernel cannot throw.
struct TakeRows {
  std::int64_t outer, rows, picks, width;  // width: units a row
  int unit, lanes;                         // bytes; threads a row
  const void* x;                           // [outer,rows,width]
  const std::int32_t* index;               // [picks]
  void* y;                                 // [outer,picks,width]
};

// Picks in the order of their rows, picks of one row in their own order: a sort that keeps the order of equals, by
// kSortBits bits at a time from the lowest. Picks of no row in [0, rows) come last. Each block has a tile of picks.
constexpr int kSortBits = 8;
constexpr int kSortDigits = 1 << kSortBits;
struct SortPass {
  std::int64_t picks = 0, rows = 0, tile = 0;
  int tiles = 0, shift = 0;
  const std::int32_t* index = nullptr;  // [picks]
  const std::int32_t* from = nullptr;   // [picks], by the bits below `shift`; null: 0, 1, 2, ...
  std::int32_t* to = nullptr;           // [picks]
  std::int32_t* places = nullptr;       // [kSortDigits,tiles], scratch
};
// begins[k]: how many of the sorted picks have a row below k.
struct RowBegins {
  std::int64_t picks, rows;
  const std::int32_t *index, *order;  // [picks]
  std::int32_t* begins;               // [rows + 1]
};
// y[o,k,:] = the sum of x[o,order[i],:] over begins[k] <= i < begins[k + 1]; NaN everywhere where some pick has no row.
// A block's threads are columns x lanes x rows: `lanes` of them share an element of y.
struct AddRows {
  std::int64_t outer = 1, rows = 0, picks = 0, inner = 0;
  int columns = 1, lanes = 1;                              // powers of two; their product is at most kAddThreads
  const std::int32_t *begins = nullptr, *order = nullptr;  // [rows + 1], [picks]
  const float* x = nullptr;                                // [outer,picks,inner]
  float* y = nullptr;                                      // [outer,rows,inner]
};
constexpr int kAddThreads = 256;

struct PickedRowsKernels {
  void (*take)(cu::Stream stream, const TakeRows& take);
  void (*sort)(cu::Stream stream, const SortPass& pass);
  void (*begin)(cu::Stream stream, const RowBegins& begin);
  void (*add)(cu::Stream stream, const AddRows& add);
};
template <class Build>
const PickedRowsKernels& picked_rows_kernels();

void register_picked_rows(DeviceKind device, const PickedRowsKernels& kernels);

}  // namespace gesso::cuda
