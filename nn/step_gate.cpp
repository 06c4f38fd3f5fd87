#include "nn/step_gate.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/optimizer.h"
#include "ops/reshape.h"

namespace gesso::nn {
namespace {

constexpr std::int64_t kReported = 4;

// [1] f32: not finite where an element of one of them is not; empty where there are none.
Tensor sizes_of(const Tensors& tensors) {
  Tensor sum;
  for (const Tensor& tensor : tensors) {
    const Tensor size = ops::global_norm(ops::reshape(tensor, {-1}));
    sum = sum ? ops::add(sum, size) : size;
  }
  return sum;
}

// [1] f32.
Tensor single(const Tensor& loss) {
  if (!loss) return loss;
  const Tensor flat = ops::reshape(loss, {1});
  return flat.dtype() == DType::f32 ? flat : ops::cast(flat, {.to = DType::f32});
}

}  // namespace

void SpikeOptions::validate() const {
  if (!(deviations >= 1 && deviations <= 1e6)) fail("spikes.deviations must lie in [1, 1e6], but is {}", deviations);
  if (skips_in_row < 0 || skips_in_window < 0)
    fail("spikes.skips_in_row and spikes.skips_in_window must not be negative, but are {} and {}", skips_in_row,
         skips_in_window);
}

StepGate::StepGate(Device& device, const SpikeOptions& options)
    : options_(options),
      state_{.recent = Tensor::zeros({{3, kWindow}, DType::f32}, device),
             .gate = Tensor::zeros({{1}, DType::f32}, device),
             .report = Tensor::zeros({{kReported}, DType::f32}, device)} {
  options.validate();
}

void StepGate::decide(const Context& context, const Tensor& norm, const Tensor& loss) const {
  ops::step_gate(state_, context.state.step, norm, single(loss), sizes_of(context.updates.taken()),
                 {.deviations = options_.deviations,
                  .skips = options_.policy == SpikePolicy::skip,
                  .most_in_row = options_.skips_in_row,
                  .most_in_window = options_.skips_in_window});
}

std::int64_t StepGate::skipped_in_row(std::int64_t step) const {
  const std::vector<float> recent = state_.recent.to_host<float>();
  const auto was_skipped = [&](std::int64_t one) {
    return recent[static_cast<std::size_t>(2 * kWindow + one % kWindow)] == ops::kSkippedFate;
  };
  std::int64_t count = 0;
  while (count < std::min(step, kWindow) && was_skipped(step - 1 - count)) ++count;
  return count;
}

std::unique_ptr<HostCopy> StepGate::start_reading() const {
  return state_.report.device().start_copy_to_host(state_.report.bytes(), state_.report.spec().bytes());
}

StepDecision StepGate::read(HostCopy& copy) {
  std::array<float, kReported> report{};
  std::memcpy(report.data(), copy.wait().data(), sizeof report);
  return {.verdict = static_cast<ops::StepVerdict>(report[0]),
          .steps_known = static_cast<std::int64_t>(report[1]),
          .loss_limit = static_cast<double>(report[2]),
          .norm_limit = static_cast<double>(report[3])};
}

}  // namespace gesso::nn
