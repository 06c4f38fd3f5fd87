// Kernels of the search for the code nearest to each vector.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"

namespace gesso::cuda {

struct NearestCodeSearch {
  std::int64_t vectors = 0;                       // N
  int codes = 0, width = 0;                       // K, D
  bool in_vectors = false;                        // z and codebook may be read four elements at a time
  const float *z = nullptr, *codebook = nullptr;  // [N,D], [K,D]
  float* biases = nullptr;                        // [K], scratch: -|e|^2 / 2
  std::int32_t* index = nullptr;                  // [N]
};
struct NearestCodeKernels {
  // index[n] = argmax over k of z[n].e[k] - |e[k]|^2 / 2, the lowest of equals, 0 where no score is a number.
  void (*search)(cu::Stream stream, const NearestCodeSearch& search);
  // counts[k] = begins[k + 1] - begins[k]
  void (*count)(cu::Stream stream, int codes, const std::int32_t* begins, float* counts);
};
template <class Build>
const NearestCodeKernels& nearest_code_kernels();

void register_nearest_code(DeviceKind device, const NearestCodeKernels& kernels);

}  // namespace gesso::cuda
