// The one header that a kernel file (.cu) includes. The same file is compiled by nvcc for the device, and by g++ as
// host C++ that the emulator runs (cuda/emulator/); both builds live in one program.
//
// A kernel is written in plain CUDA: __global__, threadIdx, __syncthreads, __shfl_xor_sync, atomicAdd, ... (all that
// the emulator knows stands in cuda/emulator/builtins.h). Where plain CUDA has no spelling that both compilers can
// read:
//   CU_SHARED(float, tile, [32][33]);    a static __shared__ variable; one with no array: CU_SHARED(float2, result);
//   CU_DYNAMIC_SHARED(memory);           unsigned char* memory: the launch's dynamic shared memory, 1024-byte aligned
//   CU_UNROLL for (...)                  unrolls for the device
//   cu::launch({.grid = ..., .block = ..., .shared_bytes = ..., .stream = ...}, kernel, arguments...);
//                                        arguments are converted to the kernel's parameter types; throws gesso::Error
//   cu::load_as<float4>(p), cu::store_as(p, v)   one access of 8 or 16 bytes, checked for alignment
//   cu::Build                            the tag of the build at work: cu::Cuda or cu::Emulated (cuda/build.h)
// Instructions: cuda/cu_ptx.h (bf16, cp.async, ldmatrix, mma.sync), cuda/cu_hopper.h (mbarriers, TMA, wgmma; sm_90a).
//
// Rules: block sizes are multiples of 32. No early return before a barrier or a warp operation. No raw __shared__,
// no <<< >>>, no inline PTX, no volatile, no __activemask, no waiting for another block. Accesses of 8 and 16 bytes go
// through load_as and store_as. Sums have a fixed order, no float atomics: a kernel gives the same bits under every
// schedule. Kernels and all that is theirs lie in an anonymous namespace, so that both builds can be linked together;
// what is shared through headers lies in namespace cu's inline namespace of the build.
//
// These macros (and the keywords below, under the emulator) are the only ones of the project: a shared variable is a
// declaration for nvcc and a call for the emulator, and CUDA's keywords and built-in variables are no C++.
#pragma once

#include "cuda/build.h"

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#include <cstddef>
#include <source_location>
#include <utility>

#include "cuda/launch_record.h"

#define CU_SHARED(T, name, ...) __shared__ T name __VA_ARGS__
#define CU_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define CU_UNROLL _Pragma("unroll")

#else  // the emulator

#include <cstddef>
#include <cstring>
#include <memory>
#include <source_location>
#include <utility>

#include "cuda/emulator/builtins.h"
#include "cuda/emulator/kernel_call.h"

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define __forceinline__ inline __attribute__((always_inline))
#define threadIdx (::gesso::emulator::current->index)
#define blockIdx (::gesso::emulator::current->view->index)
#define blockDim (::gesso::emulator::current->view->block)
#define gridDim (::gesso::emulator::current->view->grid)

#define CU_SHARED(T, name, ...) auto& name = ::gesso::emulator::static_shared<T __VA_ARGS__>([] {}, #name)
#define CU_DYNAMIC_SHARED(name) unsigned char* name = ::gesso::emulator::dynamic_shared()
#define CU_UNROLL

#endif

namespace gesso::cu {

#if defined(__CUDACC__)
inline namespace device {
using Build = Cuda;
#else
inline namespace emulated {
using Build = Emulated;
#endif

struct LaunchConfig {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  Stream stream = nullptr;
  std::source_location place = std::source_location::current();  // for errors
};

#if defined(__CUDACC__)

template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments));
  constexpr std::size_t kWithoutAsking = 48 << 10;  // bytes of shared memory; more is by the kernel's attribute
  cudaError_t error = cudaSuccess;
  if (config.shared_bytes > kWithoutAsking)
    error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(config.shared_bytes));
  cudaLaunchConfig_t options{};
  options.gridDim = config.grid;
  options.blockDim = config.block;
  options.dynamicSmemBytes = config.shared_bytes;
  options.stream = reinterpret_cast<cudaStream_t>(config.stream);
  if (error == cudaSuccess)
    error = cudaLaunchKernelEx(&options, kernel, static_cast<Parameters>(std::forward<Arguments>(arguments))...);
  if (error == cudaSuccess) return count_launch();
  const char* name = nullptr;
  cudaFuncGetName(&name, reinterpret_cast<const void*>(kernel));
  fail_launch(name, cudaGetErrorString(error), config.place);
}

template <class Vector, class T>
__device__ __forceinline__ Vector load_as(const T* source) {
  return *reinterpret_cast<const Vector*>(source);
}
template <class Vector, class T>
__device__ __forceinline__ void store_as(T* target, Vector value) {
  *reinterpret_cast<Vector*>(target) = value;
}

#else

template <class... Parameters, class... Arguments>
void launch(const LaunchConfig& config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments));
  using Call = emulator::KernelCall<Parameters...>;
  emulator::Stream::of(config.stream)
      .launch({config.grid, config.block, config.shared_bytes, config.place},
              std::make_unique<const Call>(kernel, std::forward<Arguments>(arguments)...));
}

// Written out so that the emulator sees one access: compilers split copies of structs.
template <class Vector, class T>
[[gnu::no_sanitize("thread", "alignment")]] Vector load_as(const T* source,
                                                           emulator::Place place = emulator::Place::current()) {
  emulator::check_vector(source, sizeof(Vector), alignof(Vector), emulator::Access::read, place);
  Vector value;
  __builtin_memcpy(static_cast<void*>(&value), source, sizeof(Vector));
  return value;
}
template <class Vector, class T>
[[gnu::no_sanitize("thread", "alignment")]] void store_as(T* target, Vector value,
                                                          emulator::Place place = emulator::Place::current()) {
  emulator::check_vector(target, sizeof(Vector), alignof(Vector), emulator::Access::write, place);
  __builtin_memcpy(static_cast<void*>(target), &value, sizeof(Vector));
}

#endif

}  // namespace device or emulated

}  // namespace gesso::cu
