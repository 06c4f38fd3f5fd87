// The gate of steps alone, fed with numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "nn/context.h"
#include "nn/step_gate.h"

namespace gesso {

class StepStream {
 public:
  explicit StepStream(const nn::SpikeOptions& spikes, DeviceKind kind = DeviceKind::cpu)
      : device_(device(kind)), state_(device_), gate_(device_, spikes) {}

  nn::StepDecision feed(double loss, double norm) {
    state_.set(step_++, 0);
    const auto scalar = [&](double value) {
      const auto narrow = static_cast<float>(value);
      return Tensor::from_host<float>(std::span(&narrow, 1), {1}, device_);
    };
    nn::StateUpdates none;
    gate_.decide({.device = device_, .state = state_, .updates = none}, scalar(norm), scalar(loss));
    return nn::StepGate::read(*gate_.start_reading());
  }
  ops::StepVerdict verdict(double loss, double norm) { return feed(loss, norm).verdict; }
  // Steps of moderate noise around 1.
  void fill(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      const double noise = 0.1 * std::sin(7.0 * static_cast<double>(i));
      (void)feed(1 + noise, 1 - noise);
    }
  }
  bool is_open() const { return std::isfinite(gate_.gate().to_host<float>()[0]); }
  std::int64_t steps() const { return step_; }

 private:
  Device& device_;
  nn::StepState state_;
  nn::StepGate gate_;
  std::int64_t step_ = 0;
};

}  // namespace gesso
