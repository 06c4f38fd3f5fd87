// The end of a run at a step that was not finite, or was one spike too many: what went wrong is looked for, the step is
// kept, and how to go on is told.
#pragma once

#include <string>

#include "train/run_saver.h"
#include "train/step.h"
#include "train/trainer.h"

namespace gesso {

struct StoppedRun {
  const Recipe& recipe;
  const RunOptions& options;
  const nn::ParamStore& store;
  const nn::Optimizer& optimizer;
  const RunSaver& saver;  // that has settled
  const Tensor& images;   // [N,H,W,C], the step's
  TrainStep& step;
};

// Completes the record of the step, keeps the step (train/step_dump.h), and returns all that is to be said. Neither
// what goes wrong here nor what cannot be kept hides why the run stops.
std::string explain_stop(const StoppedRun& run, StepRecord& record);

}  // namespace gesso
