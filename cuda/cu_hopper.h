// Hopper's instructions (sm_90a alone): mbarriers, bulk tensor copies (TMA), wgmma, behind plain functions.
//
//   cu::has_hopper()                                  whether the device has them: launches fail where not
//   cu::TensorMap, tensor_map(...), im2col_map(...)   made on the host, passed to kernels as __grid_constant__
//   cu::mbar_init/arrive/expect_tx/wait(barrier, ...) barriers in shared memory, 8 bytes each; wait takes the parity
//   cu::tma_load_2d, tma_load_im2col                  one thread issues; bytes count on the barrier; target 128-byte
//                                                     aligned (1024 where wgmma reads it), 128-byte swizzle
//   cu::wgmma_bf16<N>(d, a, b, accumulate)            D(64xN) += A(64x16) B(16xN) of a warp group, a and b descriptors
//   cu::k_major_128(p), mn_major_128(p, slab)         descriptors of tiles as the copies above leave them
//
// Not seen by the emulator: a missing fence_proxy_async, the rules of setmaxnreg, registers, throughput.
#pragma once

#include "cuda/cu_ptx.h"

#if defined(__CUDACC__)
#include <cuda.h>
#include <cudaTypedefs.h>
#else
#include "cuda/emulator/hopper.h"
#endif

namespace gesso::cu {

#if defined(__CUDACC__)
inline namespace device {

inline bool has_hopper() {
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0) != cudaSuccess)
    fail_launch("of Hopper", "the GPU's compute capability cannot be read");
  return major == 9 && minor == 0;
}

struct TensorMap {
  CUtensorMap map;  // the driver's type carries its own alignment
};

// The driver's function by name, so that nothing links libcuda.
template <class Function>
Function driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
  if (error != cudaSuccess) fail_launch(name, cudaGetErrorString(error));
  if (!found) fail_launch(name, "the driver does not have this function; update it");
  return reinterpret_cast<Function>(found);
}

// A tensor of bf16, dimensions innermost first; strides in bytes, without the innermost; box: what one copy takes.
inline TensorMap tensor_map(const bf16* base, int rank, const std::uint64_t* dims, const std::uint64_t* strides,
                            const std::uint32_t* box) {
  TensorMap made{};
  const std::uint32_t step[5] = {1, 1, 1, 1, 1};
  const auto encode = driver_function<PFN_cuTensorMapEncodeTiled_v12000>("cuTensorMapEncodeTiled");
  if (encode(&made.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<unsigned>(rank), const_cast<bf16*>(base), dims,
             strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != CUDA_SUCCESS)
    fail_launch("cuTensorMapEncodeTiled", "the tensor's address, strides or box are refused");
  return made;
}

// A tensor of bf16 [n, h, w, c] for convolutions. dims, strides, step: c, w, h, n; lower, upper: corners w, h of the
// box that the first filter tap walks: -padding, and padding - (filter - 1) * dilation.
inline TensorMap im2col_map(const bf16* base, const std::uint64_t* dims, const std::uint64_t* strides, const int* lower,
                            const int* upper, unsigned channels, unsigned pixels, const std::uint32_t* step) {
  TensorMap made{};
  const auto encode = driver_function<PFN_cuTensorMapEncodeIm2col_v12000>("cuTensorMapEncodeIm2col");
  if (encode(&made.map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<bf16*>(base), dims, strides, lower, upper,
             channels, pixels, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != CUDA_SUCCESS)
    fail_launch("cuTensorMapEncodeIm2col", "the tensor's address, strides or bounding box are refused");
  return made;
}

__device__ __forceinline__ void mbar_init(std::uint64_t* barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
__device__ __forceinline__ void mbar_arrive(std::uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
// Arrives, and announces the bytes that copies will bring.
__device__ __forceinline__ void mbar_expect_tx(std::uint64_t* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void mbar_wait(std::uint64_t* barrier, unsigned parity) {
  asm volatile(
      "{\n.reg .pred p;\nwait:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra done;\nbra wait;\n"
      "done:\n}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void tma_load_2d(void* shared, const TensorMap* map, std::uint64_t* barrier, int x0,
                                            int x1) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(x0), "r"(x1)
      : "memory");
}
__device__ __forceinline__ void tma_load_im2col(void* shared, const TensorMap* map, std::uint64_t* barrier, int c,
                                                int w, int h, int n, std::uint16_t filter_w, std::uint16_t filter_h) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(n), "h"(filter_w), "h"(filter_h)
      : "memory");
}

template <int Registers>
__device__ __forceinline__ void reg_alloc() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void reg_dealloc() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
template <int N, bool TransposeA = false, bool TransposeB = false>
__device__ __forceinline__ void wgmma_bf16(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool accumulate) {
  static_assert(N == 128, "each N needs its own list of registers");
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,"
      "%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,"
      "%57,%58,%59,%60,%61,%62,%63}, %64, %65, p, 1, 1, %67, %68;\n}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]),
        "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),
        "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]),
        "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]),
        "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]),
        "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
        "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
      : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(TransposeA)),
        "n"(static_cast<int>(TransposeB)));
}

}  // namespace device
#else
inline namespace emulated {

using TensorMap = emulator::TensorMap;

inline bool has_hopper() { return true; }

inline TensorMap tensor_map(const bf16* base, int rank, const std::uint64_t* dims, const std::uint64_t* strides,
                            const std::uint32_t* box) {
  return emulator::make_tensor_map(base, rank, dims, strides, box);
}
inline TensorMap im2col_map(const bf16* base, const std::uint64_t* dims, const std::uint64_t* strides, const int* lower,
                            const int* upper, unsigned channels, unsigned pixels, const std::uint32_t* step) {
  return emulator::make_im2col_map(base, dims, strides, lower, upper, channels, pixels, step);
}

inline void mbar_init(std::uint64_t* barrier, unsigned count, emulator::Place place = emulator::Place::current()) {
  emulator::mbarrier_init(barrier, count, place);
}
inline void mbar_arrive(std::uint64_t* barrier, emulator::Place place = emulator::Place::current()) {
  emulator::mbarrier_arrive(barrier, 0, place);
}
inline void mbar_expect_tx(std::uint64_t* barrier, unsigned bytes, emulator::Place place = emulator::Place::current()) {
  emulator::mbarrier_arrive(barrier, bytes, place);
}
inline void mbar_wait(std::uint64_t* barrier, unsigned parity, emulator::Place place = emulator::Place::current()) {
  emulator::mbarrier_wait(barrier, parity, place);
}
inline void fence_barrier_init() {}
inline void fence_proxy_async() {}

inline void tma_load_2d(void* shared, const TensorMap* map, std::uint64_t* barrier, int x0, int x1,
                        emulator::Place place = emulator::Place::current()) {
  const int coordinates[] = {x0, x1};
  emulator::bulk_load(shared, *map, coordinates, nullptr, barrier, place);
}
inline void tma_load_im2col(void* shared, const TensorMap* map, std::uint64_t* barrier, int c, int w, int h, int n,
                            std::uint16_t filter_w, std::uint16_t filter_h,
                            emulator::Place place = emulator::Place::current()) {
  const int coordinates[] = {c, w, h, n};
  const std::uint16_t filter_offset[] = {filter_w, filter_h};
  emulator::bulk_load(shared, *map, coordinates, filter_offset, barrier, place);
}

template <int Registers>
void reg_alloc() {}
template <int Registers>
void reg_dealloc() {}

inline std::uint32_t shared_address(const void* memory) { return emulator::shared_offset(memory); }
inline void wgmma_fence() {}
inline void wgmma_commit() { emulator::wgmma_commit(); }
template <int N>
void wgmma_wait(emulator::Place place = emulator::Place::current()) {
  emulator::wgmma_wait(N, place);
}
template <int N, bool TransposeA = false, bool TransposeB = false>
void wgmma_bf16(float (&d)[N / 2], std::uint64_t a, std::uint64_t b, bool accumulate,
                emulator::Place place = emulator::Place::current()) {
  emulator::wgmma(d, N, a, b, accumulate, TransposeA, TransposeB, place);
}

}  // namespace emulated
#endif

// Both descriptors: start address, leading and stride byte offset in units of 16 bytes, swizzle of 128 bytes.
#if defined(__CUDACC__)
inline namespace device {
#else
inline namespace emulated {
#endif

__device__ __forceinline__ std::uint64_t descriptor_128(const void* tile, std::uint64_t lead) {
  constexpr std::uint64_t kStride = 1024, kSwizzle128 = std::uint64_t{1} << 62;
  return std::uint64_t{(shared_address(tile) & 0x3FFFF) >> 4} | lead << 16 | (kStride >> 4) << 32 | kSwizzle128;
}
// A tile whose rows are r (of M or N) and 64 elements of k wide.
__device__ __forceinline__ std::uint64_t k_major_128(const void* tile) { return descriptor_128(tile, 1); }
// A tile whose rows are k and 64 elements of M or N wide; the next 64 are a slab `slab` bytes further on.
__device__ __forceinline__ std::uint64_t mn_major_128(const void* tile, std::uint32_t slab) {
  return descriptor_128(tile, slab >> 4);
}

}  // namespace device or emulated

}  // namespace gesso::cu
