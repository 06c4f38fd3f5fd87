// The end of a step: global gradient norm, clipping, AdamW, Adam or SGD, the weights' moving average, and the commit of
// pending state: flat passes over the arenas of a ParamStore.
#pragma once

#include <cstdint>
#include <string_view>

#include "nn/context.h"
#include "nn/param_store.h"
#include "nn/step_gate.h"

namespace gesso::nn {

enum class OptimizerKind : std::uint8_t { adamw, adam, sgd };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::adamw;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double momentum = 0.9;    // sgd
  double weight_decay = 0;  // adamw: decoupled; adam, sgd: added to the gradient. Not for biases, norms, embeddings
  double clip_norm = 0;     // the gradient is scaled down to this global norm; 0: never
  double ema_decay = 0;     // moving average of the weights; 0: none
  bool ema_warmup = true;   // min(ema_decay, (1 + n) / (10 + n)) at step n

  void validate() const;  // throws where a value cannot be right, naming it
};

std::string_view name_of(OptimizerKind kind);
OptimizerKind optimizer_kind(std::string_view name);  // throws with the list of names on an unknown one

class Optimizer {
 public:
  // The store must be materialised, and live longer. Throws what options.validate() throws, of either.
  Optimizer(const ParamStore& store, const OptimizerOptions& options, const SpikeOptions& spikes = {});

  // Applies the gradients of the store and commits the context's pending state, as far as gate() lets it: where the
  // gradient norm, the loss (one element; empty: none) or what pending state takes in is not finite, weights, moments,
  // averages and state stay as they are, in this step and in all that follow.
  void step(const Context& context, const Tensor& loss = {});

  // [1] f32: the gradient norm of the last step, before clipping.
  const Tensor& gradient_norm() const { return norm_; }
  const StepGate& gate() const { return gate_; }
  // Arenas of the shape of ParamStore::weights(); empty where the kind of optimiser has none.
  const Tensor& first_moment() const { return first_; }
  const Tensor& second_moment() const { return second_; }
  const Tensor& ema() const { return ema_; }
  const OptimizerOptions& options() const { return options_; }

 private:
  const ParamStore& store_;
  OptimizerOptions options_;
  StepGate gate_;
  Tensor first_, second_, ema_, norm_;
};

}  // namespace gesso::nn
