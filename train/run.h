// A run directory: config.json (the resolved recipe), metrics.jsonl, samples/, checkpoints/, lock: docs/runs.md.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/dataset.h"
#include "train/recipe.h"
#include "train/run_lock.h"
#include "train/task.h"

namespace gesso {

struct RunRequest {
  std::string recipe = {};  // a name or a path
  Path directory = {};
  std::vector<std::string> assignments = {};  // key.path=value
  bool resume = false;
  bool look_only = false;                  // take no lock: write nothing at all
  std::string version = {}, command = {};  // for the record
};

struct PreparedRun {
  std::optional<RunLock> lock;  // none: the directory is no run yet, or it was but for a look
  std::unique_ptr<Dataset> data;
};
// Resolves the recipe of a fresh run, or, resuming, that of the run directory that is there: only some keys may then
// differ (train.steps, how often things are written, where the data lie, what becomes of spikes, learning rates).
// Writes nothing but the `lock` of a run that is there. Returns the training data, which the recipe's image shape now
// fits. Throws ErrorKind::usage where the directory is taken or in use or holds pictures of the data set, or a key may
// not change, naming both values; ErrorKind::data where a run would go on with other training images.
PreparedRun prepare_run(const RunRequest& request, RecipeFile& file);

// The settings of a run that is there. Throws ErrorKind::data where the directory is none; else as JsonConfig.
void load_run_config(const Path& directory, JsonConfig& config);

// A trained model, for use.
struct TrainedRun {
  RecipeFile file;
  std::unique_ptr<Task> task;
  std::int64_t step = 0;  // of its newest checkpoint
};
// Reads config.json and the newest checkpoint of a run that is good, and tells of damaged ones; the weights' moving
// average where there is one. A run that is being trained may be read.
std::unique_ptr<TrainedRun> open_run(const Path& directory, const std::vector<std::string>& assignments,
                                     Device& device);

}  // namespace gesso
