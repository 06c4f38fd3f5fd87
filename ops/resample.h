// Pictures of other sizes: pixels repeated, interpolated or averaged; x is always [N,H,W,C].
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct FactorAttrs {  // of upsample_nearest and average_pool
  std::int64_t factor = 1;
};

// Each pixel factor x factor times: [N,factor*H,factor*W,C]. What stands before a decoder's convolutions in DDPM and
// the latent autoencoders. Throws on a factor below 1.
Tensor upsample_nearest(const Tensor& x, std::int64_t factor);

struct BilinearAttrs {
  std::int64_t height = 0, width = 0;
};
// [N,height,width,C], up or down, by the four nearest pixels. Centres of pixels lie at half numbers and what would lie
// beyond the border is the border's pixel: align_corners = false and antialias = false in PyTorch's interpolate, so
// that shrinking to less than half leaves pixels out. Throws on sizes below 1 and on a picture without pixels.
Tensor resize_bilinear(const Tensor& x, const BilinearAttrs& attrs);

// Means of blocks of factor x factor pixels: [N,H/factor,W/factor,C]. Throws where factor does not divide H and W: pad
// or slice first.
Tensor average_pool(const Tensor& x, std::int64_t factor);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> resample_rows();
}
