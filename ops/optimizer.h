// The optimisers' step over flat arenas, fused with what else touches every weight: clipping, decay, and the moving
// average of the weights (EMA). One pass over memory. Step, learning rate and gradient norm lie in device memory, so
// that a captured step can be replayed; where the norm is not finite nothing at all is updated.
#pragma once

#include "ops/op.h"

namespace gesso::ops {

// The Euclidean norm of a gradient arena [P], as [1] f32; summed in double, in an order that the size alone decides.
Tensor global_norm(const Tensor& gradient);

// Weights and what the step keeps of them: arenas [P] of one type, updated in place.
struct AdamState {
  Tensor weights, m, v;  // first and second moment
  Tensor ema;            // absent: none is kept
};
struct SgdState {
  Tensor weights;
  Tensor velocity;  // absent where momentum is 0
  Tensor ema;       // absent: none is kept
};
// What decides a step, each [1].
struct StepInputs {
  Tensor step;           // i64, from 0
  Tensor learning_rate;  // f32
  Tensor norm;           // f32, of global_norm
};

struct AdamwAttrs {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  std::int64_t decayed = 0;  // the first `decayed` weights of the arena decay
  bool decoupled = true;     // AdamW; false: the decay is added to the gradient (Adam with an L2 term)
  double clip_norm = 0;      // 0: no clipping
  double ema_decay = 0.9999;
  bool ema_warmup = false;  // min(ema_decay, (1 + step) / (10 + step))
};
// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2) or Adam, and of the moving average; nothing happens where
// inputs.norm is not finite. gradient [P]. Throws where an arena has another size or type than the weights, or an
// attribute is out of its range.
void adamw(const AdamState& state, const Tensor& gradient, const StepInputs& inputs, const AdamwAttrs& attrs);

struct SgdAttrs {
  double momentum = 0;
  double weight_decay = 0;   // added to the gradient
  std::int64_t decayed = 0;  // as in AdamwAttrs, and so on
  double clip_norm = 0;
  double ema_decay = 0.9999;
  bool ema_warmup = false;
};
// One step of gradient descent with momentum: velocity = momentum velocity + gradient, weights -= rate velocity. For
// the rest as adamw; throws also where a momentum has no velocity, or a velocity no momentum.
void sgd(const SgdState& state, const Tensor& gradient, const StepInputs& inputs, const SgdAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> optimizer_rows();
}
