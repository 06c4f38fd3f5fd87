// Kernels of draws: core/rng.h on the device, bit for bit.
#pragma once

#include <cstdint>

#include "core/device.h"
#include "cuda/build.h"
#include "cuda/divisor.h"

namespace gesso::cuda {

// `samples` rows of `size` elements. Each thread draws the four elements of one group of one row.
struct Drawn {
  std::uint64_t key = 0, first_sample = 0;
  const std::int64_t* step = nullptr;  // [1]; null where nothing is drawn
  std::int64_t samples = 0, size = 0;
  Divisor groups{};         // a row: size / 4, rounded up
  bool in_vectors = false;  // all arrays of elements take accesses of four at once
};
struct Noising {
  Drawn draw;
  const float* x;          // x_0, or the gradient of x_t
  const std::int32_t* t;   // [samples]
  const float* alpha_bar;  // [steps]
  std::int64_t steps;
  float *x_t, *eps;  // eps: null for gradients
};
struct RandomKernels {
  using Fill = void (*)(cu::Stream stream, const Drawn& draw, float* y);
  Fill uniform, normal, gumbel;
  // y = x scale where the element's uniform is at least rate, else 0
  void (*dropout)(cu::Stream stream, const Drawn& draw, float rate, float scale, const float* x, float* y);
  // x_t = sqrt(A) x + sqrt(1 - A) eps, A = alpha_bar[t]; a t outside the table gives NaN
  void (*add_noise)(cu::Stream stream, const Noising& call);
  // x_t's gradient times sqrt(A)
  void (*signal)(cu::Stream stream, const Noising& call);
};
template <class Build>
const RandomKernels& random_kernels();

void register_random(DeviceKind device, const RandomKernels& kernels);

}  // namespace gesso::cuda
