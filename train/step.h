// One training step: forward, backward, optimiser. On a device that can, it is recorded once and replayed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/optimizer.h"
#include "train/first_bad.h"
#include "train/step_record.h"
#include "train/task.h"

namespace gesso {

struct StepOptions {
  std::uint64_t seed = 1;
  bool replay = true;              // false: every step is asked for anew, on any device
  bool recompute = false;          // see nn::Context
  std::int64_t micro_batches = 1;  // equal ones, in which a batch goes through the model (train/micro_batches.h)
};

// A step's loss terms and its gradient norm, and what was decided of it, on their way to the host.
class StepValues {
 public:
  StepValues(const std::vector<Term>& terms, const nn::Optimizer& optimizer);
  // Waits; the last one is `grad_norm`.
  std::vector<Metric> read() const;
  nn::StepDecision decision() const;  // waits

 private:
  std::vector<std::pair<std::string, std::unique_ptr<HostCopy>>> values_;
  std::unique_ptr<HostCopy> decision_;
};

// Steps over one batch tensor, which the caller overwrites between them. Task and optimiser must live longer, on the
// device of the batch. Throws where the batch does not divide into the micro-batches.
class TrainStep {
 public:
  TrainStep(Task& task, nn::Optimizer& optimizer, const Tensor& images, const StepOptions& options);

  // Asks for step number `step`, counted from 0; does not wait for it.
  StepValues run(std::int64_t step, double rate);
  // Makes a step that went wrong again, on the batch that it had, as far as the gradients: it changes nothing. Returns
  // the first result that is not finite; none: there was none this time.
  std::optional<ResultStatistics> look_for_bad(std::int64_t step, double rate);
  // The same, for the record.
  void look_for_bad(std::int64_t step, double rate, StepRecord& record);
  // Of evaluation between steps.
  nn::Context evaluation(nn::StateUpdates& unused) const { return context(nn::Mode::evaluate, unused); }

 private:
  nn::Context context(nn::Mode mode, nn::StateUpdates& updates) const;
  void start(const nn::Context& context);
  void work();

  Task& task_;
  nn::Optimizer& optimizer_;
  Tensor images_;  // [N,H,W,C]
  StepOptions options_;
  nn::StepState state_;
  nn::StateUpdates updates_;
  std::unique_ptr<Graph> graph_;
  std::vector<Term> terms_;  // of the step that was asked for last
  bool warm_ = false;        // a step has run: what is done once was done, and its memory is at hand
};

}  // namespace gesso
