// A small model that is trained step by step, with all that a step may touch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/pattern_dataset.h"
#include "tests/support.h"
#include "train/comparison.h"
#include "train/step.h"
#include "train/vqvae_task.h"

namespace gesso {

inline bool passed(const StepValues& values) { return values.decision().verdict == ops::StepVerdict::passed; }

class Trainee {
 public:
  explicit Trainee(const nn::SpikeOptions& spikes = {})
      : task_({.model = {.height = 8,
                         .width = 8,
                         .channels = 1,
                         .hidden = 4,
                         .residual_hidden = 2,
                         .residual_blocks = 1,
                         .dropout = 0.1,
                         .quantizer = {.codes = 8, .width = 4, .revive_below = 0.5}}},
              cpu_),
        optimizer_(task_.store(), {.clip_norm = 1, .ema_decay = 0.9}, spikes),
        images_(read_images(data_, 0, 4, cpu_)),
        step_(task_, optimizer_, images_, {.seed = test_seed()}) {
    task_.measure(data_);
  }

  StepValues run(std::int64_t step, double rate = 1e-3) { return step_.run(step, rate); }
  std::optional<ResultStatistics> look(std::int64_t step) { return step_.look_for_bad(step, 1e-3); }
  std::vector<std::vector<float>> state() const {
    std::vector<std::vector<float>> all;
    for (const Tensor& arena : {task_.store().weights(), task_.store().state(), optimizer_.first_moment(),
                                optimizer_.second_moment(), optimizer_.ema(), optimizer_.gate().recent()})
      all.push_back(arena.to_host<float>());
    return all;
  }

 private:
  Device& cpu_ = device(DeviceKind::cpu);
  PatternDataset data_{{8, 8, 1}, 4};
  VqvaeTask task_;
  nn::Optimizer optimizer_;
  Tensor images_;  // [4,8,8,1] u8
  TrainStep step_;
};

}  // namespace gesso
