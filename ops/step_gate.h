// Whether a step may change anything: decided on the device at the end of the step, from its loss, its gradient norm
// and those of the steps before. So a step that is recorded and replayed decides anew each time, and nobody waits.
#pragma once

#include "ops/op.h"
#include "ops/step_fate.h"

namespace gesso::ops {

// Updated in place; all of one floating type. Start with zeros.
struct StepGateState {
  // [3,W], W at most kMostStepsKnown: loss and gradient norm of the last W steps, step s in column s mod W, and its
  // fate: 0 none stands there, 1 it passed, 2 it was skipped.
  Tensor recent;
  Tensor gate;  // [1]: the gradient norm where the step may change what it is to change, else infinite
  // [4]: the verdict, how many steps are known, and the limits of loss and gradient norm: 0 until W steps are known.
  Tensor report;
};

struct StepGateAttrs {
  double deviations = 10;
  bool skips = true;  // false: spikes are let through
  std::int64_t most_in_row = 3, most_in_window = 12;
};
// A loss or norm is a spike where it is above median + deviations max(1.4826 MAD, |median| / 20) of the W steps before:
// 1.4826 times the median of distances from the median is the standard deviation of normal noise, and a twentieth keeps
// a window of nearly equal values from calling everything a spike. Medians, for a mean and its deviation are carried
// away by the very spike that they should find; a window of 128 as in llm.c (outlier_detector.h) and in OLMo-core
// (SkipStepOptimizer), which decides by mean and deviation. Of an even number of values the lower middle one counts.
//
// A spike that would be skipped, but comes behind most_in_row skipped ones without a step between, or within W steps as
// the one after most_in_window, stops the training, and so does what is not finite. The state is then what it was
// before that step, and stays so.
//
// step [1] i64, from 0. norm [1]. loss [1], empty: none. sizes [1], empty: none; any number, looked at only for being
// finite. Throws where a shape or an attribute cannot be right.
void step_gate(const StepGateState& state, const Tensor& step, const Tensor& norm, const Tensor& loss,
               const Tensor& sizes, const StepGateAttrs& attrs);

}  // namespace gesso::ops

namespace gesso {
std::vector<const RowInfo*> step_gate_rows();
}
