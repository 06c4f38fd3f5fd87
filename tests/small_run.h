// A run of the trainer that takes a second, and what it leaves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "train/checkpoint.h"
#include "train/run.h"
#include "train/trainer.h"

namespace gesso {

// All that could make a resumed run differ: dropout, revival, a schedule, an epoch that ends within.
inline std::vector<std::string> small_recipe() {
  return {"data.kind=shapes",
          "data.path=",
          "data.size=8",
          "data.count=53",
          "data.test_count=6",
          "model.hidden=8",
          "model.residual_hidden=4",
          "model.codes=32",
          "model.code_width=4",
          "model.dropout=0.2",
          "model.revive_below=0.9",
          "train.batch=5",
          "schedule.kind=cosine",
          "schedule.rate=3e-3",
          "schedule.horizon=40",
          "schedule.warmup=3",
          "schedule.final_rate=1e-4",
          "optimizer.ema_decay=0.9",
          "optimizer.clip_norm=1",
          "optimizer.weight_decay=0.01",
          "log.every=4",
          "checkpoint.every=1000",
          "sample.every=1000",
          "sample.count=3"};
}

// Trains by that recipe, or goes on with the run that lies there; `more` has the last word.
inline RunSummary train_small(std::vector<std::string> more, RunOptions options) {
  RunRequest request{.recipe = "vqvae-shapes",
                     .directory = options.directory,
                     .resume = options.resume,
                     .version = "test",
                     .command = "test"};
  if (!options.resume) request.assignments = small_recipe();
  request.assignments.insert(request.assignments.end(), more.begin(), more.end());
  RecipeFile file;
  const PreparedRun run = prepare_run(request, file);
  options.is_locked = run.lock.has_value();
  return train(file.recipe(), *run.data, options);
}

// The files of a run's last checkpoint, and its step.
inline std::map<std::string, std::string> state_files(const Path& run) {
  std::map<std::string, std::string> files;
  const Checkpoint checkpoint = list_checkpoints(run).back();
  for (const std::string& name : list_directory(checkpoint.directory))
    files[name] = read_text_file(checkpoint.directory / name, 1 << 24);
  files["step"] = std::to_string(checkpoint.step);
  return files;
}

}  // namespace gesso
