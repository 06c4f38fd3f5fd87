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

}  // namespace

void remove_leftovers(const Path& run, std::int64_t step) {
  remove_unfinished(run, is_ours);
  remove_unfinished(run / kSamplesFolder, [](const UnfinishedFile& file) {
    return file.final_name.starts_with("step-") && file.final_name.ends_with(".png");
  });
  std::error_code stays;
  for (const RunPicture& picture : saved_pictures(run))
    if (picture.step > step) std::filesystem::remove(picture.file, stays);
  if (step > 0) return;
  for (const char* name : {kStartsFile, kCodesFile, kExtremesFile, kWorstPicture, kBestPicture})
    std::filesystem::remove(run / name, stays);
}

}  // namespace gesso
