// What a run writes for those who look on while it trains, and afterwards: metrics.jsonl, an event file for
// TensorBoard, pictures, how often codes occur. docs/runs.md lists the files; train/run_history.h reads them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nn/param_store.h"
#include "train/event_file.h"
#include "train/extremes.h"
#include "train/image.h"
#include "train/recipe.h"
#include "train/run_history.h"
#include "train/run_log.h"
#include "train/step_record.h"
#include "train/task.h"

namespace gesso {

// Its line of metrics.jsonl.
std::string event_line(const StepRecord& record);

class RunRecord {
 public:
  // Of a run that goes on from start.step, in a directory that is there. start.time and start.machine are set here;
  // the recipe must live longer.
  RunRecord(const Path& run, const Recipe& recipe, RunStart start);

  // All of these throw ErrorKind::io where the system refuses; what was written before stays good, and later calls
  // may succeed.

  // Before the others: what is said of a start. Where it cannot be, there is no event file.
  void begin();
  void metrics(std::int64_t step, const std::vector<Metric>& metrics);
  // Of a step that did not go as steps go.
  void event(const StepRecord& record);
  // Returns where the picture is.
  Path pictures(std::int64_t step, const Image& grid);
  // The triptychs of both, and what they are.
  void extremes(const Extremes& found, const Image& worst, const Image& best);
  // Of the store's trained parameters and their gradients, as they are between two steps, and of code_counts (how often
  // each code occurred; empty: there are no codes).
  void histograms(std::int64_t step, const nn::ParamStore& store, const std::vector<std::int64_t>& code_counts);

 private:
  std::vector<std::byte> png_of(std::int64_t step, const Image& picture) const;

  Path run_;
  const Recipe& recipe_;
  RunStart start_;
  MetricsFile metrics_;
  std::optional<EventFile> events_;
};

}  // namespace gesso
