// Whether a step may change anything: not where it is not finite, nor, if so wished, where it is a spike.
#pragma once

#include <cstdint>
#include <memory>

#include "nn/context.h"
#include "ops/step_gate.h"

namespace gesso::nn {

// What becomes of spikes. log: they are let through. skip: such a step changes nothing.
enum class SpikePolicy : std::uint8_t { log, skip };

struct SpikeOptions {
  SpikePolicy policy = SpikePolicy::skip;
  double deviations = 10;  // above the median of the steps before; see ops/step_gate.h
  // skip: one more stops the training. The second among StepGate::kWindow steps.
  std::int64_t skips_in_row = 3, skips_in_window = 12;

  void validate() const;  // throws where a value cannot be right, naming it
};

// What was decided of a step, and why.
struct StepDecision {
  ops::StepVerdict verdict = ops::StepVerdict::passed;
  std::int64_t steps_known = 0;           // before it
  double loss_limit = 0, norm_limit = 0;  // above which they are spikes; 0: not enough steps are known
};

class StepGate {
 public:
  static constexpr std::int64_t kWindow = 128;  // steps

  // Open, and knows no steps. Throws what options.validate() throws.
  StepGate(Device& device, const SpikeOptions& options);

  // At the end of a step's backward pass. norm [1] f32, of its gradients. loss: one element; empty: none. All that
  // pending state takes in must be finite, too.
  void decide(const Context& context, const Tensor& norm, const Tensor& loss) const;

  // [1] f32: finite (the gradient norm) where the step may change what it is to change.
  const Tensor& gate() const { return state_.gate; }
  // [3,kWindow] f32: the steps before (ops/step_gate.h); what a run must take along to decide as if never stopped.
  const Tensor& recent() const { return state_.recent; }
  // How many steps up to the one before `step` were skipped in a row, at most a window. Waits.
  std::int64_t skipped_in_row(std::int64_t step) const;
  // Of the last step; on its way to the host.
  std::unique_ptr<HostCopy> start_reading() const;
  static StepDecision read(HostCopy& copy);  // waits

 private:
  SpikeOptions options_;
  ops::StepGateState state_;
};

}  // namespace gesso::nn
