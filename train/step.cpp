#include "train/step.h"

#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/profiler.h"
#include "train/micro_batches.h"

namespace gesso {

namespace {

std::unique_ptr<HostCopy> start_copy(const Tensor& scalar) {
  return scalar.device().start_copy_to_host(scalar.data<float>().data(), sizeof(float));
}

double value_of(HostCopy& copy) {
  float value;
  std::memcpy(&value, copy.wait().data(), sizeof value);
  return static_cast<double>(value);
}

}  // namespace

StepValues::StepValues(const std::vector<Term>& terms, const nn::Optimizer& optimizer)
    : decision_(optimizer.gate().start_reading()) {
  for (const Term& term : terms) values_.emplace_back(term.name, start_copy(term.value));
  values_.emplace_back("grad_norm", start_copy(optimizer.gradient_norm()));
}

std::vector<Metric> StepValues::read() const {
  std::vector<Metric> metrics;
  for (const auto& [name, copy] : values_) metrics.push_back({name, value_of(*copy)});
  return metrics;
}

nn::StepDecision StepValues::decision() const { return nn::StepGate::read(*decision_); }

TrainStep::TrainStep(Task& task, nn::Optimizer& optimizer, const Tensor& images, const StepOptions& options)
    : task_(task), optimizer_(optimizer), images_(images), options_(options), state_(images.device()) {
  if (options.micro_batches < 1 || images.dim(0) % options.micro_batches != 0)
    fail("step: {} images do not divide into {} micro-batches", images.dim(0), options.micro_batches);
}

nn::Context TrainStep::context(nn::Mode mode, nn::StateUpdates& updates) const {
  return {.device = images_.device(),
          .mode = mode,
          .state = state_,
          .updates = updates,
          .seed = options_.seed,
          .recompute = options_.recompute};
}

void TrainStep::start(const nn::Context& context) {
  task_.start(context, images_, images_.dim(0) / options_.micro_batches);
}

// What is recorded: nothing here may read the device's memory, nor depend on the step but through state_.
void TrainStep::work() {
  const nn::Context now = context(nn::Mode::train, updates_);
  terms_ = differentiate(task_, now, images_, options_.micro_batches);
  optimizer_.step(now, terms_.front().value);
}

std::optional<ResultStatistics> TrainStep::look_for_bad(std::int64_t step, double rate) {
  FirstBad watch;
  state_.set(step, rate);
  nn::StateUpdates unused;
  const nn::Context now = context(nn::Mode::train, unused);
  if (step == 0) start(now);
  (void)differentiate(task_, now, images_, options_.micro_batches,
                      [&](std::int64_t i) { watch.begin_micro_batch(i, options_.micro_batches); });
  return watch.found();
}

void TrainStep::look_for_bad(std::int64_t step, double rate, StepRecord& record) {
  const std::optional<ResultStatistics> bad = look_for_bad(step, rate);
  record.first_bad = bad ? bad->where() : "";
  record.complaint = bad ? bad->complaint() : "";
}

StepValues TrainStep::run(std::int64_t step, double rate) {
  const ProfileRange range(RangeKind::step, "step");
  Device& device = images_.device();
  state_.set(step, rate);
  if (nn::StateUpdates unused; step == 0) start(context(nn::Mode::train, unused));
  if (!graph_ && warm_ && options_.replay && device.can_capture()) graph_ = device.capture([this] { work(); });
  if (graph_)
    graph_->launch();
  else
    work();
  warm_ = true;
  task_.after_step(step);
  return {terms_, optimizer_};
}

}  // namespace gesso
