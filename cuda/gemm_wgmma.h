// Matrix products and convolution of bf16 with fp32 accumulators on Hopper (sm_90a): wgmma fed by the bulk copy engine.
// The pattern for fast products: one producer, two consumer warp groups, a ring of stages between them.
#pragma once

#include "core/dtype.h"
#include "cuda/build.h"

namespace gesso::cuda {

// All pointers at multiples of 16 bytes, rows too: k (of nt), m and n (of tn) are multiples of 8, and n is even.
struct GemmWgmma {
  const bf16* a;  // nt: [m,k]; tn: [k,m]
  const bf16* b;  // nt: [n,k]; tn: [k,n]
  float* c;       // [m,n]
  int m, n, k;
};

// y = x * weight, channels last; c a multiple of 64, out_channels even, a square filter.
struct ConvolutionWgmma {
  const bf16* x;       // [n,h,w,c]
  const bf16* weight;  // [out_channels,filter,filter,c]
  float* y;            // [n,out_h,out_w,out_channels]
  int n, h, w, c, out_channels, filter, stride, padding;

  int out_h() const { return (h + 2 * padding - filter) / stride + 1; }
  int out_w() const { return (w + 2 * padding - filter) / stride + 1; }
};

struct GemmWgmmaKernels {
  void (*multiply_nt)(cu::Stream stream, const GemmWgmma& gemm);  // c = a b^T
  void (*multiply_tn)(cu::Stream stream, const GemmWgmma& gemm);  // c = a^T b: what a weight's gradient needs
  void (*convolve)(cu::Stream stream, const ConvolutionWgmma& convolution);
};
template <class Build>
const GemmWgmmaKernels& gemm_wgmma_kernels();

}  // namespace gesso::cuda
