// The training loop: batches in, steps, lines, pictures and checkpoints out. It knows no model; a Task does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "nn/optimizer.h"
#include "train/data_loader.h"
#include "train/file_system.h"
#include "train/recipe.h"
#include "train/run_controls.h"
#include "train/run_log.h"
#include "train/task.h"

namespace gesso {

struct RunOptions {
  Path directory = {};  // made where it is missing
  bool resume = false;
  bool is_locked = false;  // whether the caller holds the run's lock; else train() takes it
  DeviceKind device = DeviceKind::cpu;
  bool replay = true;             // record a step and replay it, where the device can
  std::string command_line = {};  // for the record
  LogFormat log_format = LogFormat::text;
  RunControls* controls = nullptr;           // null: nothing is asked for
  FileSystem* files = &posix_file_system();  // where checkpoints go
};

enum class RunEnd : std::uint8_t { finished, interrupted };

struct RunSummary {
  RunEnd end = RunEnd::finished;
  std::int64_t step = 0;
  Path sample, checkpoint;      // the last of each
  std::vector<Metric> metrics;  // of the last log interval
};

// Trains on what prepare_run (train/run.h) opened; that is where a directory that holds a run already, and a recipe
// that may not go on with it, are refused, not here. Nothing but `lock` is written before all data and, resuming,
// the checkpoint are found good. What cannot be written on the way (a full disk) is told, and training goes on; only
// where the last checkpoint cannot be saved does it end with ErrorKind::io. Throws Error: usage for a recipe that
// cannot be right or does not fit the data, and where another process trains there; data; numeric where a gradient is
// no longer finite (the last checkpoint is intact); memory where there is too little, before the first step where that
// could be predicted (the last checkpoint is intact); io.
RunSummary train(const Recipe& recipe, const Dataset& train_data, const RunOptions& options);

// What train() would say before its first step, a line each; writes nothing. Throws as train() does before it.
std::vector<std::string> training_plan(const Recipe& recipe, const Dataset& train_data, const RunOptions& options);

}  // namespace gesso
