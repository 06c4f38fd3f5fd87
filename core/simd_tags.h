// The instruction sets as types. A family's inner loops are a table of functions on plain pointers, made once a tag, so
// that the copies have different symbols and run time can choose:
//
//   struct ReluKernels { void (*forward)(std::int64_t n, const float* x, float* y); };   // ops/relu_simd.h
//   template <class Tag> const ReluKernels& relu_kernels();
//
//   template <> const ReluKernels& relu_kernels<simd::Native>() {                        // ops/relu_simd.cpp, built
//   thrice
//     static constexpr ReluKernels table = {.forward = forward};
//     return table;
//   }
//
//   const auto kernels = by_isa(isa(), relu_kernels<simd::Baseline>, relu_kernels<simd::Avx2>,
//                               relu_kernels<simd::Avx512>);                             // ops/relu.cpp
//   kernels().forward(n, x, y);
#pragma once

namespace gesso::simd {

struct Baseline {};  // SSE2, part of every x86-64
struct Avx2 {};      // with FMA: -march=haswell
struct Avx512 {};    // F, VL, BW, DQ: -march=skylake-avx512

}  // namespace gesso::simd
