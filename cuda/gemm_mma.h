// Matrix product of bf16 on tensor cores with fp32 accumulators, for sm_80 and later: mma.sync fed by cp.async and
// ldmatrix. The pattern for products, convolutions and attention in bf16.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "cuda/build.h"

namespace gesso::cuda {

// c = a b^T. k is a multiple of 8 and n even, a and b lie at multiples of 16 bytes: copies take 8 elements at once.
struct GemmMma {
  const bf16* a;  // [m,k]
  const bf16* b;  // [n,k]
  float* c;       // [m,n]
  std::int64_t m;
  int n, k;
};

struct GemmMmaKernels {
  void (*multiply)(cu::Stream stream, const GemmMma& gemm);
};
template <class Build>
const GemmMmaKernels& gemm_mma_kernels();

}  // namespace gesso::cuda
