// The register tiles in the size of AVX-512, on any machine: made of vectors of two halves.
#pragma once

#include "ops/gemm_simd.h"
#include "ops/patch_simd.h"

namespace gesso {

struct WideTile {
  int rows, columns;
  // By the number of vectors of columns that are computed, 1 to 4.
  void (*tile[4])(const GemmTile& tile);
  void (*multiply_rows[4])(const GemmRows& rows);
  PatchKernels patches;
};
template <class Tag>
const WideTile& wide_tile();

}  // namespace gesso
