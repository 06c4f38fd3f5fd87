// The instructions that CUDA C++ has no spelling for, one function each: PTX where nvcc compiles, the emulator's work
// on a whole warp elsewhere. Runs on sm_80 and later.
//
//   cu::to_float(bf16), cu::to_bf16(float)   conversions that kernels may use; pack_bf16(low, high): two to a register
//   cu::cp_async<16>(shared, global, valid)  asynchronous copy of 4 or 16 bytes; zeros where not valid
//   cu::cp_async_commit(), cu::cp_async_wait<N>()   closes a group; waits until at most N groups are under way
//   cu::ldmatrix_x4(r, row), ldmatrix_x4_trans      four 8x8 matrices of bf16; row: this lane's 16-byte row
//   cu::mma_bf16(d, a, b0, b1)               D(16x8) += A(16x16) B(16x8), fp32 accumulators
#pragma once

#include "core/dtype.h"
#include "cuda/cu.h"

#if !defined(__CUDACC__)
#include "cuda/emulator/warp_matrix.h"
#endif

namespace gesso::cu {

#if defined(__CUDACC__)
inline namespace device {

__device__ __forceinline__ float to_float(bf16 value) { return __uint_as_float(std::uint32_t{value.bits} << 16); }
__device__ __forceinline__ bf16 to_bf16(float value) {
  bf16 rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(value));
  return rounded;
}
__device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

__device__ __forceinline__ std::uint32_t shared_address(const void* memory) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(memory));
}

template <int Bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool valid = true) {
  static_assert(Bytes == 4 || Bytes == 16);
  const int source_bytes = valid ? Bytes : 0;
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(source_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(Bytes),
                 "r"(source_bytes)
                 : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                         std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace device
#else
inline namespace emulated {

inline float to_float(bf16 value) { return static_cast<float>(value); }
inline bf16 to_bf16(float value) { return bf16(value); }
inline std::uint32_t pack_bf16(float low, float high) { return bf16(low).bits | std::uint32_t{bf16(high).bits} << 16; }

template <int Bytes>
void cp_async(void* shared, const void* global, bool valid = true, emulator::Place place = emulator::Place::current()) {
  static_assert(Bytes == 4 || Bytes == 16);
  emulator::async_copy(shared, global, Bytes, valid ? Bytes : 0, place);
}
inline void cp_async_commit() { emulator::async_copy_commit(); }
template <int N>
void cp_async_wait(emulator::Place place = emulator::Place::current()) {
  emulator::async_copy_wait(N, place);
}

inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row, emulator::Place place = emulator::Place::current()) {
  emulator::ldmatrix_x4(r, row, /*transposed=*/false, place);
}
inline void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row,
                              emulator::Place place = emulator::Place::current()) {
  emulator::ldmatrix_x4(r, row, /*transposed=*/true, place);
}
inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                     emulator::Place place = emulator::Place::current()) {
  emulator::mma_m16n8k16(d, a, b0, b1, place);
}

}  // namespace emulated
#endif

}  // namespace gesso::cu
