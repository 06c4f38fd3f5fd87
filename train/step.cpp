#include "train/step.h"

#include <cstring>
#include <utility>

#include "core/profiler.h"

namespace gesso {

StepValues::StepValues(const std::vector<Term>& terms, const Tensor& gradient_norm) {
  for (const Term& term : terms) add(term.name, term.value);
  add("grad_norm", gradient_norm);
}

void StepValues::add(const std::string& name, const Tensor& value) {
  values_.emplace_back(name, value.device().start_copy_to_host(value.data<float>().data(), sizeof(float)));
}

std::vector<Metric> StepValues::read() const {
  std::vector<Metric> metrics;
  for (const auto& [name, copy] : values_) {
    float value;
    std::memcpy(&value, copy->wait().data(), sizeof value);
    metrics.push_back({name, static_cast<double>(value)});
  }
  return metrics;
}

TrainStep::TrainStep(Task& task, nn::Optimizer& optimizer, const Tensor& images, const StepOptions& options)
    : task_(task), optimizer_(optimizer), images_(images), options_(options), state_(images.device()) {}

nn::Context TrainStep::context(nn::Mode mode, nn::StateUpdates& updates) const {
  return {.device = images_.device(), .mode = mode, .state = state_, .updates = updates, .seed = options_.seed};
}

// What is recorded: nothing here may read the device's memory, nor depend on the step but through state_.
void TrainStep::work() {
  const nn::Context now = context(nn::Mode::train, updates_);
  Tape tape;
  task_.store().watch(tape);
  terms_ = task_.losses(now, images_);
  tape.backward(terms_.front().value);
  optimizer_.step(now);
}

StepValues TrainStep::run(std::int64_t step, double rate) {
  const ProfileRange range(RangeKind::step, "step");
  Device& device = images_.device();
  state_.set(step, rate);
  if (step == 0) task_.start(context(nn::Mode::train, updates_), images_);
  if (!graph_ && warm_ && options_.replay && device.can_capture()) graph_ = device.capture([this] { work(); });
  if (graph_)
    graph_->launch();
  else
    work();
  warm_ = true;
  task_.after_step();
  return {terms_, optimizer_.gradient_norm()};
}

}  // namespace gesso
