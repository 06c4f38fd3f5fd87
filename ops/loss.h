// Losses over elements: one number of a batch. The loss over classes is ops/cross_entropy.h.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// All give a scalar []. Operands of one call have one shape [...] and one floating type; other shapes, and an x without
// elements, of which there is no mean, are an Error. Every operand has a gradient.

// The mean of (x - target)^2 over all elements.
Tensor mse(const Tensor& x, const Tensor& target);

// The mean of |x - target| over all elements; slope 0 where they are equal.
Tensor l1(const Tensor& x, const Tensor& target);

struct HuberAttrs {
  double delta = 1;  // where the parabola becomes a line; positive
};
// The mean over all elements of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), of d = x - target.
Tensor huber(const Tensor& x, const Tensor& target, const HuberAttrs& attrs = {});

// The mean over all elements of -target ln s - (1 - target) ln(1 - s), s = sigmoid(logits), target in [0, 1]: finite
// for any finite logits.
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target);

struct HingeAttrs {
  bool real = true;  // what the scores should be: at least 1 of a real picture, at most -1 of a generated one
};
// A discriminator's loss on pictures of one kind: the mean over all scores of max(0, 1 - score), or of
// max(0, 1 + score) where they should be generated ones.
Tensor hinge(const Tensor& scores, const HingeAttrs& attrs = {});

// KL(N(mean, e^logvar) || N(0, 1)), summed over each sample and averaged over the N samples of mean, logvar [N,...].
// logvar is limited to [-30, 20] first and has no gradient outside.
Tensor gaussian_kl(const Tensor& mean, const Tensor& logvar);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> loss_rows();
}
