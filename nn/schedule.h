// Learning rates over the steps. The horizon is a key of its own: train.steps only says when to stop, so a run can be
// lengthened and still resume bit for bit.
#pragma once

#include <cstdint>
#include <string_view>

namespace gesso::nn {

enum class ScheduleKind : std::uint8_t { constant, cosine, linear, step };

struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;
  double rate = 3e-4;            // after warm-up, before decay
  std::int64_t warmup = 0;       // steps of linear rise from rate / warmup to rate
  std::int64_t horizon = 10000;  // cosine, linear: the step at which final_rate is reached, and kept
  double final_rate = 0;
  std::int64_t every = 1000;  // step: multiplied by `factor` each so many steps after warm-up
  double factor = 0.5;

  // The rate of a step, 0-based. Warm-up comes first, whatever follows.
  //   cosine  final + (rate - final) (1 + cos(pi p)) / 2, p = (step - warmup) / (horizon - warmup) in [0, 1]
  //           (Loshchilov and Hutter 2017, "SGDR", eq. 5, one period)
  //   linear  rate + (final - rate) p
  //   step    rate factor^floor((step - warmup) / every)
  double at(std::int64_t step) const;
  // Throws where a value cannot be right, naming it.
  void validate() const;
};

std::string_view name_of(ScheduleKind kind);
ScheduleKind schedule_kind(std::string_view name);  // throws with the list of names on an unknown one

}  // namespace gesso::nn
