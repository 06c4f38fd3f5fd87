// A convolution that sees each pixel of its image twice, down and across (nearest upsampling), without an image of that
// size. With stride and dilation 1 it is a transposed convolution of stride 2 on the small image: pixel i reaches the
// results 2 i + s - pad through the sum of those taps that lead from one of its two copies to it, so the kernel becomes
// a row and a column larger, and four parts of it, each seen by every second result, multiply 16 numbers where the
// enlarged image takes 36 (3x3).
#pragma once

#include "ops/convolution.h"

namespace gesso::convolution {

// From y [N,OH,OW,K] of the convolution g, of an image of g.H x g.W pixels, to the image of half that size.
ConvGeometry enlarged_geometry(const ConvGeometry& g);

// As the passes of ops/convolution.h; x and dx are the small image, g the convolution of the large one.
void forward_enlarged(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* weight,
                      float* y, const GemmEpilogue& epilogue = {});
void input_gradient_enlarged(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight,
                             JoinedChannels<float> dx);
void weight_gradient_enlarged(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x,
                              const float* dy, float* dweight);

}  // namespace gesso::convolution
