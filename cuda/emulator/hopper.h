// Hopper's asynchronous machinery: mbarriers, the bulk copy engine (tiled and im2col), wgmma. All of it happens as late
// as the program's own waits allow, and what it will overwrite is NaN until then.
#pragma once

#include <cstdint>

#include "cuda/emulator/execution.h"

namespace gesso::emulator {

// What the copy engine reads of a tensor of bf16; dimensions innermost first.
struct TensorMap {
  const std::byte* base = nullptr;
  int rank = 0;
  int swizzle = 0;  // span in bytes
  std::int64_t dims[5] = {};
  std::int64_t strides[5] = {};  // bytes
  std::uint32_t box[5] = {};
  std::uint32_t step[5] = {};
  bool im2col = false;
  unsigned channels = 0, pixels = 0;  // im2col: of one copy
  int lower[2] = {}, upper[2] = {};   // im2col: corners of the bounding box, w and h
};

// strides: bytes, without the innermost. Throws on what the driver would refuse.
TensorMap make_tensor_map(const void* base, int rank, const std::uint64_t* dims, const std::uint64_t* strides,
                          const std::uint32_t* box);
TensorMap make_im2col_map(const void* base, const std::uint64_t* dims, const std::uint64_t* strides, const int* lower,
                          const int* upper, unsigned channels, unsigned pixels, const std::uint32_t* step);

void mbarrier_init(std::uint64_t* barrier, unsigned count, const Place& place);
void mbarrier_arrive(std::uint64_t* barrier, unsigned expected_bytes, const Place& place);
void mbarrier_wait(std::uint64_t* barrier, unsigned parity, const Place& place);
// coordinates: rank of them; filter_offset: w and h, for im2col maps alone.
void bulk_load(void* shared, const TensorMap& map, const int* coordinates, const std::uint16_t* filter_offset,
               std::uint64_t* barrier, const Place& place);
// d: this thread's n/2 accumulators; a, b: descriptors.
void wgmma(float* d, int n, std::uint64_t a, std::uint64_t b, bool accumulate, bool transpose_a, bool transpose_b,
           const Place& place);
void wgmma_commit();
void wgmma_wait(unsigned allowed, const Place& place);

// The copy engine and wgmma's operands xor address bits 4..6 with bits 7..9 at a span of 128 bytes, less at smaller.
inline std::size_t swizzled(std::size_t address, int span) {
  const unsigned bits = span == 128 ? 3 : span == 64 ? 2 : span == 32 ? 1 : 0;
  return address ^ ((address >> 7 & ((1u << bits) - 1)) << 4);
}

}  // namespace gesso::emulator
