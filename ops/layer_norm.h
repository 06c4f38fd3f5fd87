// Normalisation of each row by itself, over the last axis: layer norm (Ba et al. 2016, "Layer normalization") and
// root mean square norm (Zhang and Sennrich 2019, "Root mean square layer normalization").
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct LayerNormAttrs {
  float eps = 1e-5f;  // positive and finite; 1e-5 in GPT, CLIP and transformer blocks of U-Nets, 1e-6 in DiT
};
struct LayerNormResult {
  Tensor y;     // like x
  Tensor mean;  // [...], of each row; absent from an rms norm
  Tensor rstd;  // [...], 1 / sqrt(variance + eps), in an rms norm 1 / sqrt(mean square + eps)
};

// x [...,C], weight [C], bias [C]; weight and bias may each be absent (1 and 0). Both norms throw where x is not
// floating or has no channels, where weight or bias is not [C] of x's type, and on another eps.
LayerNormResult layer_norm(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {},
                           const LayerNormAttrs& attrs = {});
// x [...,C], weight [C] or absent.
LayerNormResult rms_norm(const Tensor& x, const Tensor& weight = {}, const LayerNormAttrs& attrs = {});

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> layer_norm_rows();
}
