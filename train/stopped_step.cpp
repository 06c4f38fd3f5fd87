#include "train/stopped_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/isa.h"
#include "train/step_dump.h"
#include "train/text.h"

namespace gesso {
namespace {

void look_for_bad(const StoppedRun& run, StepRecord& record) {
  const std::int64_t step = record.step - 1;
  try {
    run.step.look_for_bad(step, run.recipe.schedule.at(step), record);
  } catch (const std::exception& error) {
    record.first_bad = "not known";
    record.complaint = fmt::format("not found, as the step could not be made again ({})", error.what());
  }
}

std::string keep(const StoppedRun& run, const StepRecord& record) {
  try {
    const Path directory = write_step_dump(step_dumps(run.options.directory, *run.options.files),
                                           {.record = record, .images = run.images, .config = text_of(run.recipe)},
                                           step_files(run.store, run.optimizer));
    return fmt::format("look at it with gesso replay {} (it is kept in {})", in_shell(run.options.directory.string()),
                       directory.string());
  } catch (const std::exception& error) {
    return fmt::format("it could not be kept for gesso replay ({})", error.what());
  }
}

// A step that goes wrong judges the weights that it finds, as did the skipped ones before it. Only checkpoints that a
// good step has gone on from are surely good.
std::string checkpoints(const StoppedRun& run, const StepRecord& record) {
  std::vector<Checkpoint> all;
  std::vector<std::string> unproven;
  try {
    all = checkpoint_store(run.options.directory, *run.options.files).list();
    const std::int64_t step = record.step - 1;
    const std::int64_t judged = step - run.optimizer.gate().skipped_in_row(step);
    for (; !all.empty() && all.back().step >= judged; all.pop_back()) unproven.push_back(all.back().directory.string());
  } catch (const Error&) {
    all.clear();
  }
  if (all.empty() || unproven.empty()) return fmt::format("the last checkpoint is {}", run.saver.newest_text());
  return fmt::format(
      "the last checkpoint that a good step went on from is {}; newer ones, whose weights may be what went wrong, must "
      "be moved away to go on from there: {}",
      all.back().directory.string(), fmt::join(unproven, ", "));
}

std::string remedy(const StoppedRun& run, const StepRecord& record) {
  const bool can_go_on = run.saver.newest().step > 0;
  std::string text = fmt::format("{} a lower schedule.rate or {} optimizer.clip_norm",
                                 can_go_on ? "go on with --resume and" : "start again with",
                                 run.recipe.optimizer.clip_norm > 0 ? "a lower" : "an");
  if (record.decision.verdict == ops::StepVerdict::too_many)
    text += fmt::format(", or, where such steps are in order, with {}spikes.policy=log", can_go_on ? "--resume " : "");
  return text;
}

}  // namespace

std::string explain_stop(const StoppedRun& run, StepRecord& record) {
  if (record.decision.verdict == ops::StepVerdict::not_finite) look_for_bad(run, record);
  record.device = run.store.device().name();
  record.isa = name_of(isa());
  record.version = run.recipe.about.version;
  const std::string kept = keep(run, record);
  return fmt::format("{}; weights and state were not changed by it, and {}; {}; {}", record.what(),
                     checkpoints(run, record), kept, remedy(run, record));
}

}  // namespace gesso
