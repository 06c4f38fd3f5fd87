#include "train/leftovers.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "train/files.h"
#include "train/recipe.h"
#include "train/report.h"
#include "train/run.h"
#include "train/run_history.h"
#include "train/step_dump.h"

namespace gesso {
namespace {

bool lives(pid_t process) { return kill(process, 0) == 0 || errno != ESRCH; }

// Others may have files of their own there.
bool is_ours(const UnfinishedFile& file) {
  static constexpr std::array<std::string_view, 7> kOurs = {kConfigFile,   kMetricsFile,  kSkippedFile, kCodesFile,
                                                            kExtremesFile, kWorstPicture, kBestPicture};
  // `gesso report` takes no lock, so its page may be just being written.
  if (file.final_name == kReportFile) return file.process == getpid() || !lives(file.process);
  return std::ranges::find(kOurs, file.final_name) != kOurs.end();
}

// By what a run writes first. Of what is removed below starts.jsonl goes last, so that the next start removes what a
// killed one did not come to.
bool was_started(const Path& run) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(run / kConfigFile, ignored) &&
         std::filesystem::is_regular_file(run / kStartsFile, ignored);
}

void remove_dumps(const Path& run, std::int64_t step, FileSystem& files) {
  if (std::error_code ignored; !std::filesystem::is_directory(run / kDumpsFolder, ignored)) return;
  CheckpointStore dumps = step_dumps(run, files);
  dumps.prepare();
  if (step == 0) dumps.remove_from(0);
}

}  // namespace

void remove_leftovers(const Path& run, std::int64_t step, FileSystem& files) {
  remove_unfinished(run, is_ours);
  remove_unfinished(run / kSamplesFolder, [](const UnfinishedFile& file) {
    return file.final_name.starts_with("step-") && file.final_name.ends_with(".png");
  });
  if (step == 0 && !was_started(run)) return;
  std::error_code stays;
  for (const RunPicture& picture : saved_pictures(run))
    if (picture.step > step) std::filesystem::remove(picture.file, stays);
  remove_dumps(run, step, files);
  if (step > 0) return;
  for (const char* name : {kCodesFile, kExtremesFile, kWorstPicture, kBestPicture, kStartsFile})
    std::filesystem::remove(run / name, stays);
}

}  // namespace gesso
