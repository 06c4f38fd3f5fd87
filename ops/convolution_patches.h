// Convolutions with few channels on one side: the first and last layers of most networks. Kernels of their own
// (ops/patch_simd.h) on small copies of the image with few channels, or on tables of pointers to pixels with many.
// All run direct: a pixel of a result depends on the pixels that the kernel sees alone, bit for bit.
#pragma once

#include <span>

#include "ops/convolution_gather.h"

namespace gesso::convolution {

// With fewer channels than that a register tile over the channels of one tap would mostly fetch pointers, and one over
// as few columns would compute what nobody stores.
constexpr std::int64_t kFewChannels = 16;

// Whether these are how a pass of g is computed: with few channels in, or for the weight on one side; with few results.
// Depends on kernel, stride, dilation and channels alone.
bool takes_patches(const ConvGeometry& g, std::int64_t channels);
bool takes_dots(const ConvGeometry& g, std::int64_t channels, std::int64_t results);

// c[row] = epilogue(gathered row times panels), panels [taps][channels][columns].
void multiply_patches(const Execution& run, const Gather& g, const gemm::Panels& panels, float* c,
                      const GemmEpilogue& epilogue);

// weights[tap.index * tap + result * apart + channel], tap.index < taps
struct DotWeights {
  const float* weights;
  std::int64_t taps, channels, results, tap, apart;
};
// c[row][result] = epilogue(sum over taps and channels of the gathered row times weights), for the grids of all phases,
// of which the first is the largest.
void multiply_dots(const Execution& run, std::span<const Gather> phases, const DotWeights& weights, float* c,
                   const GemmEpilogue& epilogue);

// The patches are those of the side with fewer channels.
void weight_gradient_by_patches(const Execution& run, const ConvGeometry& g, const float* x, const float* dy,
                                float* dweight);

}  // namespace gesso::convolution
