// Batch normalisation (Ioffe and Szegedy 2015), over all positions of a batch, with PyTorch's conventions.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

struct BatchNormAttrs {
  float eps = 1e-5f;
  float momentum = 0.1f;  // running = (1 - momentum) running + momentum batch
  bool train = false;     // false: normalise with the running values, and leave them
};
// All but y are [C], and empty outside training. The running values are new tensors: who owns the state copies them
// there once the step is known to be good.
struct BatchNormResult {
  Tensor y;
  Tensor mean, variance;  // of this batch; biased
  Tensor running_mean, running_variance;
};

// Mean and variance of each channel over all positions (Ioffe and Szegedy 2015). x [...,C]; weight, bias, running_mean,
// running_variance [C]. The running variance takes the batch's unbiased one. Throws in training on fewer than two
// values a channel.
BatchNormResult batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                           const Tensor& running_variance, const BatchNormAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> batch_norm_rows();
}
