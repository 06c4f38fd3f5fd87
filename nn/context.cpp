#include "nn/context.h"

#include <algorithm>
#include <utility>

#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/concat.h"

namespace gesso::nn {

StepState::StepState(Device& device)
    : step(Tensor::zeros({{1}, DType::i64}, device)), learning_rate(Tensor::zeros({{1}, DType::f32}, device)) {}

void StepState::set(std::int64_t step_number, double rate) const {
  const auto rate_f32 = static_cast<float>(rate);
  step.copy_from_host(std::as_bytes(std::span(&step_number, 1)));
  learning_rate.copy_from_host(std::as_bytes(std::span(&rate_f32, 1)));
}

void StateUpdates::Share::add(const Share& next) {
  if (join == Join::rows)
    values.insert(values.end(), next.values.begin(), next.values.end());
  else
    values.front() = ops::add(values.front(), next.values.front());
}

Tensor StateUpdates::Share::whole(std::int64_t parts) const {
  if (join == Join::rows) return ops::concat_all(values, 0);
  const Tensor& sum = values.front();
  if (join == Join::sum || parts == 1) return sum;
  return ops::cast(sum, {.to = sum.dtype(), .scale = 1 / static_cast<double>(parts)});
}

StateUpdates::Pending* StateUpdates::pending_for(const Tensor& target) {
  const auto found = std::ranges::find_if(pending_, [&](const Pending& p) { return p.target.same_memory(target); });
  return found == pending_.end() ? nullptr : &*found;
}

void StateUpdates::announce(const Tensor& target, Apply apply, const std::vector<Taken>& taken) {
  Pending announced{target, std::move(apply), {}};
  for (const auto& [value, join] : taken) announced.taken.push_back({{value}, join});
  if (Pending* const before = pending_for(target))
    *before = std::move(announced);
  else
    pending_.push_back(std::move(announced));
}

void StateUpdates::join(StateUpdates next_part) {
  for (Pending& next : next_part.pending_) {
    Pending* const whole = pending_for(next.target);
    if (!whole) {
      pending_.push_back(std::move(next));
      continue;
    }
    for (std::size_t i = 0; i < next.taken.size(); ++i) whole->taken[i].add(next.taken[i]);
    whole->parts += next.parts;
  }
}

Tensors StateUpdates::taken() const {
  Tensors all;
  for (const Pending& pending : pending_)
    for (const Share& share : pending.taken) all.insert(all.end(), share.values.begin(), share.values.end());
  return all;
}

void StateUpdates::commit(const Tensor& gate) {
  for (const Pending& pending : std::exchange(pending_, {})) {
    Tensors whole;
    for (const Share& share : pending.taken) whole.push_back(share.whole(pending.parts));
    pending.apply(whole, gate);
  }
}

}  // namespace gesso::nn
