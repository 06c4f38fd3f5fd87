// Inner loops of ops/nearest_code.cpp.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"

namespace gesso {

struct NearestCodeKernels {
  static constexpr int64_t kMaxRows = 96;

  int64_t panel;  // codes that are searched together
  // The lowest index of the lowest score half_norms[k] + sum_d z[d] panels[k / panel][d][k % panel] for each of at most
  // kMaxRows vectors z [rows,D]; 0 where no score is below infinity. panels [panel_count,D,panel],
  // half_norms [panel_count * panel].
  void (*search)(int64_t rows, int64_t D, int64_t panel_count, const float* z, const float* panels,
                 const float* half_norms, int32_t* index);
  void (*add)(int64_t n, const float* x, float* sum);  // sum += x
};
template <class Tag>
const NearestCodeKernels& nearest_code_kernels();

}  // namespace gesso
