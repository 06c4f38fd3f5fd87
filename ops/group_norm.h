// Group normalisation (Wu and He 2018, "Group normalization"), with SiLU and dropout in the same pass where asked: what
// stands before nearly every convolution of a U-Net or an autoencoder.
#pragma once

#include "ops/dropout.h"
#include "ops/op.h"

namespace gesso::ops {

struct GroupNormAttrs {
  std::int64_t groups = 32;
  float eps = 1e-6f;       // 1e-6 in DDPM and the latent autoencoders, 1e-5 in the U-Nets of ADM and Stable Diffusion
  bool silu = false;       // y = silu(normalised)
  DropoutAttrs dropout{};  // of y
};
struct GroupNormResult {
  Tensor y;     // like x
  Tensor mean;  // [N,groups]
  Tensor rstd;  // [N,groups] 1 / sqrt(variance + eps)
};

// Mean and biased variance over all positions and the channels of a group (Wu and He 2018). x [N,...,C], weight [C],
// bias [C], step [1] i64 where dropout.rate is not 0. Throws where groups do not divide C, and where dropout would.
GroupNormResult group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormAttrs& attrs,
                           const Tensor& step = {});

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> group_norm_rows();
}
