#include "train/run_saver.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace gesso {

RunSaver::RunSaver(const CheckpointStore& store, const CheckpointOptions& options, std::vector<StoredFile> files,
                   const Checkpoint& newest, ProgressLine& line)
    : store_(store), options_(options), writer_(store, options.keep, std::move(files)), newest_(newest), line_(line) {}

bool RunSaver::due(std::int64_t step) const {
  return step % options_.every == 0 || (retry_step_ > 0 && step >= retry_step_);
}

void RunSaver::start(std::int64_t step) {
  retry_step_ = 0;
  writer_.start(step);
  saving_step_ = step;
}

void RunSaver::tell(std::int64_t step) {
  for (const SaveReport& report : writer_.reports()) {
    problem_ = report.problem;
    if (report.directory.empty()) {
      ++failures_;
      line_.say(fmt::format("step {} is not saved: {}; the last checkpoint is {}", report.step, report.problem,
                            newest_text()));
      if (report.step != saving_step_) continue;
      retry_step_ = step + retry_pause_;
      retry_pause_ = std::min(2 * retry_pause_, options_.every);
      continue;
    }
    newest_ = {report.step, report.directory};
    in_doubt_ = report.in_doubt;
    retry_pause_ = 1;
    if (!report.problem.empty())
      line_.say(fmt::format("step {} is saved in {}, but: {}", report.step, report.directory.string(), report.problem));
  }
}

void RunSaver::settle(std::int64_t step) {
  writer_.wait();
  tell(step);
}

void RunSaver::finish(std::int64_t step) {
  settle(step);
  if (newest_.step != step) {
    writer_.start(step);
    settle(step);
  }
  if (newest_.step != step)
    fail(ErrorKind::io, "step {}, the last one, could not be saved: {}; the last checkpoint is {}", step, problem_,
         newest_text());
  if (!in_doubt_) return;
  try {
    store_.sync_names();
  } catch (const Error& error) {
    fail(ErrorKind::io, "step {}, the last one, is saved in {}, but perhaps not on disk: {}", step,
         newest_.directory.string(), error.what());
  }
}

}  // namespace gesso
