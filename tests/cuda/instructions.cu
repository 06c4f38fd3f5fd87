#include "cuda/cu_ptx.h"
#include "tests/cuda/instructions.h"

namespace gesso::probes {
namespace {

using namespace shapes;
using std::uint32_t;

__device__ __forceinline__ unsigned thread() { return threadIdx.x; }

// A pair of floats a thread: each rounded alone, both packed, and the first one widened again.
__global__ void round_kernel(const float* in, uint32_t* out) {
  const float low = in[2 * thread()], high = in[2 * thread() + 1];
  const bf16 rounded = cu::to_bf16(low);
  out[4 * thread()] = rounded.bits;
  out[4 * thread() + 1] = cu::to_bf16(high).bits;
  out[4 * thread() + 2] = cu::pack_bf16(low, high);
  reinterpret_cast<float*>(out)[4 * thread() + 3] = cu::to_float(rounded);
}

// Two groups of 32 copies, backwards; every third is not valid. The first group is read while the second may be under
// way.
template <int kBytes>
__global__ void copy_kernel(const uint32_t* in, uint32_t* out) {
  constexpr unsigned kWords = kBytes / 4;
  CU_SHARED(uint32_t, staged, [kCopies * 4]);
  for (unsigned i = thread(); i < kCopies * 4; i += 32) staged[i] = 0xFFFFFFFFu;
  __syncwarp();
  for (unsigned group = 0; group < 2; ++group) {
    const unsigned from = group * 32 + thread(), to = kCopies - 1 - from;
    cu::cp_async<kBytes>(staged + to * kWords, in + from * kWords, from % 3 != 0);
    cu::cp_async_commit();
  }
  cu::cp_async_wait<1>();
  __syncwarp();
  for (unsigned i = thread(); i < 32 * kWords; i += 32) out[i] = staged[32 * kWords + i];
  cu::cp_async_wait<0>();
  __syncwarp();
  for (unsigned i = thread(); i < 32 * kWords; i += 32) out[32 * kWords + i] = staged[i];
}

// Lane l names row 5 l + 3 (mod 32) of the 32 rows of 16 bytes.
template <bool kTransposed>
__global__ void ldmatrix_kernel(const uint32_t* in, uint32_t* out) {
  CU_SHARED(uint4, rows, [32]);
  const unsigned lane = thread();
  cu::store_as(rows + lane, cu::load_as<uint4>(in + 4 * lane));
  __syncwarp();
  uint32_t registers[4];
  if constexpr (kTransposed)
    cu::ldmatrix_x4_trans(registers, rows + (5 * lane + 3) % 32);
  else
    cu::ldmatrix_x4(registers, rows + (5 * lane + 3) % 32);
  CU_UNROLL
  for (unsigned i = 0; i < 4; ++i) out[4 * lane + i] = registers[i];
}

// In: by lane, 4 registers of a, 2 of b, 4 floats of d.
__global__ void mma_kernel(const uint32_t* in, float* out) {
  const uint32_t* mine = in + 10 * thread();
  const float* sums = reinterpret_cast<const float*>(mine + 6);
  const uint32_t a[4] = {mine[0], mine[1], mine[2], mine[3]};
  float d[4] = {sums[0], sums[1], sums[2], sums[3]};
  cu::mma_bf16(d, a, mine[4], mine[5]);
  CU_UNROLL
  for (unsigned i = 0; i < 4; ++i) out[4 * thread() + i] = d[i];
}

void run_round(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch({.grid = dim3(1), .block = dim3(kRoundings / 2), .stream = stream}, round_kernel,
             reinterpret_cast<const float*>(in), out);
}
template <int kBytes>
void run_copy(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch({.grid = dim3(1), .block = dim3(32), .stream = stream}, copy_kernel<kBytes>, in, out);
}
template <bool kTransposed>
void run_ldmatrix(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch({.grid = dim3(1), .block = dim3(32), .stream = stream}, ldmatrix_kernel<kTransposed>, in, out);
}
void run_mma(cu::Stream stream, const uint32_t* in, uint32_t* out) {
  cu::launch({.grid = dim3(1), .block = dim3(32), .stream = stream}, mma_kernel, in, reinterpret_cast<float*>(out));
}

}  // namespace

template <>
std::span<const InstructionProbe> warp_probes<cu::Build>() {
  static constexpr InstructionProbe probes[] = {
      {"cvt.rn.bf16", kRoundings, 2 * kRoundings, run_round},  {"cp.async 4", kCopies, kCopies, run_copy<4>},
      {"cp.async 16", kCopies * 4, kCopies * 4, run_copy<16>}, {"ldmatrix.x4", 128, 128, run_ldmatrix<false>},
      {"ldmatrix.x4.trans", 128, 128, run_ldmatrix<true>},     {"mma.m16n8k16", 320, 128, run_mma},
  };
  return probes;
}

}  // namespace gesso::probes
