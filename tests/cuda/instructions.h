// One instruction of cuda/cu_ptx.h or cuda/cu_hopper.h a kernel: what it leaves in registers or shared memory is
// written out as it is. The same source runs on the emulator and on a GPU, so that their bits can be compared.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "cuda/build.h"

namespace gesso::probes {

struct InstructionProbe {
  std::string_view name;
  int words_in, words_out;
  // Device pointers, at multiples of 16 bytes. What `in` holds says tests/cuda_instructions_test.cpp, by name.
  void (*run)(cu::Stream stream, const std::uint32_t* in, std::uint32_t* out);
};

// Runs on sm_80 and later.
template <class Build>
std::span<const InstructionProbe> warp_probes();
// Run on sm_90a alone.
template <class Build>
std::span<const InstructionProbe> hopper_probes();
// Whether the device has the latter's instructions.
template <class Build>
bool has_hopper();

// What the probes read, in elements, and where their copies begin.
namespace shapes {
constexpr int kRoundings = 256;  // floats
constexpr int kCopies = 64;      // of cp.async, 4 or 16 bytes each
// mbarrier: phases, each of a block of threads.
constexpr int kPhases = 3, kThreads = 128;
// Tiles of bf16 of a matrix [kRows,kColumns] that the copy engine reads, by first column and row.
constexpr int kRows = 40, kColumns = 72, kTileRows = 16, kTileColumns = 64, kTiles = 4;
struct TileCorners {
  int column[kTiles] = {0, 8, -8, 24}, row[kTiles] = {0, 5, -3, 33};
};
// Pixels of bf16 [kImages,kHeight,kWidth,kChannels] under a 3x3 filter with padding 1, by the filter's offset (w, h)
// and the first of the output's pixels.
constexpr int kImages = 2, kHeight = 5, kWidth = 6, kChannels = 64, kPixels = 32, kWindows = 3;
struct Windows {
  int offset_w[kWindows] = {0, 2, 1}, offset_h[kWindows] = {0, 1, 2}, first[kWindows] = {0, 11, 15};
};
constexpr int out_pixels(int length, int stride) { return (length - 1) / stride + 1; }
// wgmma: a tile of 64 rows and one of 128, each 64 elements deep; which of its four steps of 16 is taken first and
// second.
constexpr int kM = 64, kN = 128, kDepth = 64;
constexpr int depth_step(int i) { return 2 * i + 1; }
}  // namespace shapes

}  // namespace gesso::probes
