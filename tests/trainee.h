// A small model that is trained step by step, with all that a step may touch.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/pattern_dataset.h"
#include "tests/support.h"
#include "train/comparison.h"
#include "train/data_loader.h"
#include "train/step.h"
#include "train/vqvae_task.h"

namespace gesso {

inline bool passed(const StepValues& values) { return values.decision().verdict == ops::StepVerdict::passed; }

struct TraineeOptions {
  std::int64_t hidden = 4, residual_hidden = 2, codes = 8;
  std::int64_t pictures = 4, batch = 4, micro_batches = 1;
  nn::SpikeOptions spikes = {};
};

class Trainee {
 public:
  explicit Trainee(const TraineeOptions& options = {})
      : data_({8, 8, 1}, options.pictures),
        task_({.model = {.height = 8,
                         .width = 8,
                         .channels = 1,
                         .hidden = options.hidden,
                         .residual_hidden = options.residual_hidden,
                         .residual_blocks = 1,
                         .dropout = 0.1,
                         .quantizer = {.codes = options.codes, .width = 4, .revive_below = 0.5}}},
              cpu_),
        optimizer_(task_.store(), {.clip_norm = 1, .ema_decay = 0.9}, options.spikes),
        images_(read_images(data_, 0, options.batch, cpu_)),
        step_(task_, optimizer_, images_, {.seed = test_seed(), .micro_batches = options.micro_batches}) {
    task_.measure(data_);
  }

  const Dataset& data() const { return data_; }
  Task& task() { return task_; }
  // What the next steps see; until then the first pictures.
  void take(const Batch& batch) { images_.copy_from_host(std::as_bytes(std::span(batch.images))); }
  StepValues run(std::int64_t step, double rate = 1e-3) { return step_.run(step, rate); }
  std::optional<ResultStatistics> look(std::int64_t step) { return step_.look_for_bad(step, 1e-3); }
  // What training is for, and what it keeps beside that.
  std::vector<std::vector<float>> trained() const { return values_of(arenas()); }
  // The same, and the steps that are known.
  std::vector<std::vector<float>> state() const {
    auto all = trained();
    all.push_back(optimizer_.gate().recent().to_host<float>());
    return all;
  }
  void continue_from(const Trainee& other) const {
    const Tensors to = arenas(), from = other.arenas();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_from(from[i]);
    optimizer_.gate().recent().copy_from(other.optimizer_.gate().recent());
  }
  std::vector<float> gradients() const { return task_.store().gradients().to_host<float>(); }

 private:
  Tensors arenas() const {
    return {task_.store().weights(), task_.store().state(), optimizer_.first_moment(), optimizer_.second_moment(),
            optimizer_.ema()};
  }
  static std::vector<std::vector<float>> values_of(const Tensors& arenas) {
    std::vector<std::vector<float>> all;
    for (const Tensor& arena : arenas) all.push_back(arena.to_host<float>());
    return all;
  }

  Device& cpu_ = device(DeviceKind::cpu);
  PatternDataset data_;
  VqvaeTask task_;
  nn::Optimizer optimizer_;
  Tensor images_;  // [batch,8,8,1] u8
  TrainStep step_;
};

}  // namespace gesso
