#include "cuda/optimizer.h"

#include <algorithm>

#include "cuda/elementwise.h"
#include "cuda/entry.h"
#include "ops/optimizer.h"

namespace gesso::cuda {
namespace {

TableByDevice<OptimizerKernels> tables;

// What both optimisers' attributes say alike; the last three operands are step, learning rate and norm.
template <class Attrs>
OptimizerRule rule_of(const Attrs& attrs, std::span<const Tensor> in) {
  return {.weight_decay = attrs.weight_decay,
          .clip_norm = attrs.clip_norm,
          .ema_decay = attrs.ema_decay,
          .ema_warmup = attrs.ema_warmup,
          .decayed = attrs.decayed,
          .step = pointer<std::int64_t>(in[in.size() - 3]),
          .learning_rate = pointer<float>(in[in.size() - 2]),
          .norm = pointer<float>(in[in.size() - 1])};
}

void update(const Forward& f, void (*OptimizerKernels::*kernel)(cu::Stream, const OptimizerFactors*, const Arenas&),
            const OptimizerRule& rule, Arenas arenas) {
  if (f.in[0].count() == 0) return;
  arenas.n = f.in[0].count();
  arenas.weights = pointer<float>(f.in[0]);
  arenas.gradient = pointer<float>(f.in[1]);
  arenas.decayed = rule.decayed;
  const float* const all[] = {arenas.weights, arenas.gradient, arenas.m, arenas.v, arenas.velocity, arenas.ema};
  arenas.in_vectors = std::ranges::all_of(all, vectors_at<float>);
  const Tensor memory = f.run.scratch({{static_cast<std::int64_t>(sizeof(OptimizerFactors))}, DType::u8});
  auto* factors = reinterpret_cast<OptimizerFactors*>(memory.bytes());
  tables.of(f.run).decide(stream_of(f.run), rule, factors);
  (tables.of(f.run).*kernel)(stream_of(f.run), factors, arenas);
}

void adamw(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::AdamwAttrs>();
  OptimizerRule rule = rule_of(attrs, f.in);
  rule.beta1 = attrs.beta1;
  rule.beta2 = attrs.beta2;
  rule.eps = attrs.eps;
  rule.decoupled = attrs.decoupled;
  update(f, &OptimizerKernels::adamw, rule,
         {.m = pointer<float>(f.in[2]), .v = pointer<float>(f.in[3]), .ema = pointer<float>(f.in[4])});
}

// As adamw without its moments: a rate of the learning rate itself.
void sgd(const Attributes& attributes, const Forward& f) {
  const auto attrs = attributes.as<ops::SgdAttrs>();
  OptimizerRule rule = rule_of(attrs, f.in);
  rule.momentum = attrs.momentum;
  update(f, &OptimizerKernels::sgd, rule, {.velocity = pointer<float>(f.in[2]), .ema = pointer<float>(f.in[3])});
}

}  // namespace

void register_optimizer(DeviceKind device, const OptimizerKernels& kernels) {
  tables.set(device, kernels);
  register_kernels(device, "adamw", {adamw, nullptr});
  register_kernels(device, "sgd", {sgd, nullptr});
}

}  // namespace gesso::cuda
