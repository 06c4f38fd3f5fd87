#include "nn/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/memory_use.h"
#include "core/profiler.h"
#include "ops/optimizer.h"

namespace gesso::nn {
namespace {
constexpr std::array<std::string_view, 3> kNames = {"adamw", "adam", "sgd"};

void check_fraction(std::string_view key, double value) {
  if (!(value >= 0 && value < 1)) fail("optimizer.{} must lie in [0, 1), but is {}", key, value);
}
}  // namespace

void OptimizerOptions::validate() const {
  check_fraction("beta1", beta1);
  check_fraction("beta2", beta2);
  check_fraction("momentum", momentum);
  check_fraction("ema_decay", ema_decay);
  if (!(eps > 0)) fail("optimizer.eps must be positive, but is {}", eps);
  if (!(weight_decay >= 0)) fail("optimizer.weight_decay must not be negative, but is {}", weight_decay);
  if (!(clip_norm >= 0)) fail("optimizer.clip_norm must not be negative, but is {}", clip_norm);
}

std::string_view name_of(OptimizerKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

OptimizerKind optimizer_kind(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) fail("unknown optimizer '{}'; known are {}", name, fmt::join(kNames, ", "));
  return static_cast<OptimizerKind>(found - kNames.begin());
}

Optimizer::Optimizer(const ParamStore& store, const OptimizerOptions& options, const SpikeOptions& spikes)
    : store_(store), options_(options), gate_(store.device(), spikes) {
  options.validate();
  const Spec arena = store.weights().spec();
  const MemoryUse use("moments and average", "");
  if (options.kind != OptimizerKind::sgd || options.momentum > 0) first_ = Tensor::zeros(arena, store.device());
  if (options.kind != OptimizerKind::sgd) second_ = Tensor::zeros(arena, store.device());
  if (options.ema_decay == 0) return;
  ema_ = Tensor(arena, store.device());
  ema_.copy_from(store.weights());
}

void Optimizer::step(const Context& context, const Tensor& loss) {
  const ProfileRange range(RangeKind::phase, "optimizer");
  const NoGrad constants;
  norm_ = ops::global_norm(store_.gradients());
  gate_.decide(context, norm_, loss);
  const ops::StepInputs inputs{
      .step = context.state.step, .learning_rate = context.state.learning_rate, .norm = gate_.gate()};
  if (options_.kind == OptimizerKind::sgd)
    ops::sgd({.weights = store_.weights(), .velocity = first_, .ema = ema_}, store_.gradients(), inputs,
             {.momentum = options_.momentum,
              .weight_decay = options_.weight_decay,
              .decayed = store_.decayed(),
              .clip_norm = options_.clip_norm,
              .ema_decay = options_.ema_decay,
              .ema_warmup = options_.ema_warmup});
  else
    ops::adamw({.weights = store_.weights(), .m = first_, .v = second_, .ema = ema_}, store_.gradients(), inputs,
               {.beta1 = options_.beta1,
                .beta2 = options_.beta2,
                .eps = options_.eps,
                .weight_decay = options_.weight_decay,
                .decayed = store_.decayed(),
                .decoupled = options_.kind == OptimizerKind::adamw,
                .clip_norm = options_.clip_norm,
                .ema_decay = options_.ema_decay,
                .ema_warmup = options_.ema_warmup});
  store_.mark_written("optimizer");
  context.updates.commit(gate_.gate());
}

}  // namespace gesso::nn
