#include "nn/context.h"

#include <algorithm>
#include <span>
#include <utility>

namespace gesso::nn {

StepState::StepState(Device& device)
    : step(Tensor::zeros({{1}, DType::i64}, device)), learning_rate(Tensor::zeros({{1}, DType::f32}, device)) {}

void StepState::set(std::int64_t step_number, double rate) const {
  const auto rate_f32 = static_cast<float>(rate);
  step.copy_from_host(std::as_bytes(std::span(&step_number, 1)));
  learning_rate.copy_from_host(std::as_bytes(std::span(&rate_f32, 1)));
}

void StateUpdates::announce(const Tensor& target, Apply apply, const Tensors& taken) {
  const auto same = [&](const Pending& pending) { return pending.target.same_memory(target); };
  if (const auto found = std::ranges::find_if(pending_, same); found != pending_.end())
    *found = {target, std::move(apply), taken};
  else
    pending_.push_back({target, std::move(apply), taken});
}

Tensors StateUpdates::taken() const {
  Tensors all;
  for (const Pending& pending : pending_) all.insert(all.end(), pending.taken.begin(), pending.taken.end());
  return all;
}

void StateUpdates::commit(const Tensor& gate) {
  for (const Pending& pending : std::exchange(pending_, {})) pending.apply(gate);
}

}  // namespace gesso::nn
