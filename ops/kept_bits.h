// What dropout leaves of a sample, a bit an element. Plain C, for the kernels' sake.
#pragma once

#include <stdint.h>

namespace gesso {

// Element i becomes x[i] * scale where bit first + i is set, else 0.
struct KeptBits {
  const uint8_t* bits = nullptr;  // null: all stay as they are; four bytes behind the last bit may be read
  int64_t first = 0;
  float scale = 1;
};

}  // namespace gesso
