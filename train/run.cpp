#include "train/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "train/checkpoint.h"
#include "train/chosen_settings.h"
#include "train/folder_listing.h"
#include "train/open_dataset.h"
#include "train/recipe_task.h"
#include "train/report.h"
#include "train/run_history.h"
#include "train/run_log.h"
#include "train/standard_streams.h"
#include "train/text.h"

namespace gesso {
namespace {

// What may change when a run goes on: what enters no number of a step, and what helps a run that stopped at one.
constexpr std::array<std::string_view, 19> kMayChange = {
    "train.steps",         "log.every",           "checkpoint.every",    "checkpoint.keep",        "sample.every",
    "sample.count",        "train.recompute",     "data.path",           "data.loaders",           "data.cache_mib",
    "spikes.policy",       "spikes.deviations",   "spikes.skips_in_row", "spikes.skips_in_window", "schedule.rate",
    "schedule.final_rate", "optimizer.clip_norm", "about.version",       "about.command"};

Path config_path(const Path& run) { return run / kConfigFile; }

void refuse_changes(const std::vector<JsonConfig::Description>& before,
                    const std::vector<JsonConfig::Description>& after) {
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].value == after[i].value || std::ranges::find(kMayChange, before[i].key) != kMayChange.end()) continue;
    fail("{} is {} in this run and cannot become {} on resume; only {} may change", before[i].key, before[i].value,
         after[i].value, fmt::join(kMayChange.begin(), kMayChange.end() - 2, ", "));
  }
}

void resume_config(const RunRequest& request, RecipeFile& file) {
  if (!std::filesystem::exists(config_path(request.directory)))
    fail(ErrorKind::data,
         "run {}: {}, so there is nothing to go on with; leave out --resume to start it, or name another folder with "
         "--out",
         request.directory.string(),
         std::filesystem::is_directory(request.directory) ? "no config.json in it" : "no such folder");
  load_run_config(request.directory, file.config());
  if (file.recipe().about.recipe != request.recipe)
    fail("run {} was started with recipe {}, not {}; name that one, or another --out", request.directory.string(),
         file.recipe().about.recipe, request.recipe);
  const auto before = file.config().describe();
  for (const std::string& assignment : request.assignments) file.config().assign(assignment);
  refuse_changes(before, file.config().describe());
}

// A run's folder may be one that will be made, with folders above it, but none of them may be a file.
void refuse_file_in(Path directory) {
  std::error_code none_there;
  while (!std::filesystem::exists(directory, none_there) && directory.has_relative_path())
    directory = directory.parent_path();
  if (std::filesystem::exists(directory, none_there) && !std::filesystem::is_directory(directory, none_there))
    fail("{} is a file; name the run's folder with --out", directory.string());
}

// Every run records its recipe's name; a recipe that somebody keeps under the name config.json has none.
void refuse_config_of_others(const Path& directory) {
  const auto refuse = [&](ErrorKind kind, std::string_view why) {
    fail(kind, "{} holds a {} that no run of this gesso made{}, and a run would replace it; name another --out",
         directory.string(), kConfigFile, why);
  };
  RecipeFile before;
  try {
    load_run_config(directory, before.config());
  } catch (const Error& error) {
    refuse(error.kind(), fmt::format(" ({})", error.what()));
  }
  if (before.recipe().about.recipe.empty()) refuse(ErrorKind::usage, "");
}

// Where no run was started, files of a run's names are somebody else's. All but `lock` come after config.json.
void refuse_to_replace(const Path& directory) {
  std::error_code none_there;
  const auto is_file = [&](const char* name) { return std::filesystem::is_regular_file(directory / name, none_there); };
  if (is_file(kConfigFile)) return refuse_config_of_others(directory);
  const auto refuse = [&](std::string_view name) {
    fail("{} holds {}, which a run would replace, but no run was started there; name another --out", directory.string(),
         name);
  };
  for (const char* name :
       {kMetricsFile, kStartsFile, kSkippedFile, kCodesFile, kExtremesFile, kWorstPicture, kBestPicture, kReportFile})
    if (is_file(name)) refuse(name);
  if (const auto pictures = saved_pictures(directory); !pictures.empty())
    refuse(fmt::format("{}/{}", kSamplesFolder, pictures.front().file.filename().string()));
}

// Pictures in a run's folder would be lost to their data set, and a run's own pictures would join theirs.
void refuse_pictures_in(const Path& directory, const DataOptions& data) {
  std::error_code none_there;
  const Path run = std::filesystem::canonical(directory, none_there);
  if (data.kind != "folder" || none_there) return;
  const Path pictures = std::filesystem::canonical(data.path, none_there);
  if (none_there) return;
  const auto is_in = [](const Path& place) { return *place.begin() != ".."; };
  if (is_in(pictures.lexically_relative(run / kSamplesFolder)))
    fail(
        "{} is in the folder of the run's own pictures, which would join those to train on; name another --out than {}",
        data.path, directory.string());
  const Path place = run.lexically_relative(pictures);
  if (!is_in(place)) return;
  const std::string in_it = place == "." ? "" : place.string() + "/";
  const FolderListing listing = list_folder(data.path, false);
  const auto found = std::ranges::find_if(
      listing.files, [&](const ListedFile& file) { return file.name.starts_with(in_it) && counts(data.path, file); });
  if (found == listing.files.end()) return;
  fail("{} holds pictures of the data set, such as {}, and what lies in a run's folder is no data; name another --out",
       directory.string(), in_quotes(found->name));
}

void fresh_config(const RunRequest& request, RecipeFile& file) {
  refuse_file_in(request.directory);
  if (!list_checkpoints(request.directory).empty())
    fail("{} holds a run already; add --resume to go on with it, or choose another --out", request.directory.string());
  refuse_to_replace(request.directory);
  file.config().load_file(recipe_path(request.recipe));
  for (const std::string& assignment : request.assignments) file.config().assign(assignment);
  file.recipe().about.recipe = request.recipe;
  choose_data_settings(file);
  refuse_pictures_in(request.directory, file.recipe().data);
}

constexpr std::string_view kContents = ", contents ";

// The samples and their order, wherever they lie: other ones would continue the run differently.
std::string contents_of(const Dataset& data) {
  const std::string contents = fmt::format("{} images {}", data.size(), data.image_shape().text());
  return data.contents() ? fmt::format("{}{}{:016x}", contents, kContents, *data.contents()) : contents;
}

// Runs recorded no contents once.
bool are_the_same(const std::string& recorded, const std::string& found) {
  return recorded == found || found.starts_with(fmt::format("{}{}", recorded, kContents));
}

void record_data(const RunRequest& request, const Dataset& data, std::string& recorded) {
  std::string found = contents_of(data);
  if (request.resume && !recorded.empty() && !are_the_same(recorded, found))
    fail(ErrorKind::data,
         "run {} was trained on {}, but {} now holds {} (contents: a hash); give the same data with --data, or start "
         "another run with --out",
         request.directory.string(), recorded, data.name(), found);
  recorded = std::move(found);
}

}  // namespace

void load_run_config(const Path& directory, JsonConfig& config) {
  if (!std::filesystem::exists(directory)) fail(ErrorKind::data, "run {}: no such folder", directory.string());
  if (!std::filesystem::is_regular_file(config_path(directory)))
    fail(ErrorKind::data, "run {}: no config.json in it; expected a folder that gesso train made", directory.string());
  config.load_file(config_path(directory));
}

PreparedRun prepare_run(const RunRequest& request, RecipeFile& file) {
  PreparedRun run;
  // Before data are opened, which may take minutes. Where either is missing nobody trains: that is left as it is.
  const bool is_run =
      std::filesystem::exists(config_path(request.directory)) && std::filesystem::exists(request.directory / kLockFile);
  if (is_run && !request.look_only) run.lock.emplace(posix_file_system(), request.directory);
  request.resume ? resume_config(request, file) : fresh_config(request, file);
  Recipe& recipe = file.recipe();
  recipe.about.version = request.version;
  recipe.about.command = request.command;
  recipe.validate();
  run.data = open_dataset(recipe.data, Split::train, static_cast<std::uint64_t>(recipe.train.seed));
  record_data(request, *run.data, recipe.about.data);
  resolve_image_shape(recipe, run.data->image_shape());
  choose_training_settings(file, *run.data);
  recipe.vqvae.validate();
  return run;
}

std::unique_ptr<TrainedRun> open_run(const Path& directory, const std::vector<std::string>& assignments,
                                     Device& device) {
  auto run = std::make_unique<TrainedRun>();
  load_run_config(directory, run->file.config());
  for (const std::string& assignment : assignments) run->file.config().assign(assignment);
  const VerifiedCheckpoint verified = checkpoint_store(directory).load_newest(is_wanted_for_inference);
  for (const auto& [checkpoint, why] : verified.damaged)
    tell(fmt::format("{} is damaged: {}; {} is used\n", checkpoint.directory.string(), why,
                     verified.checkpoint.directory.filename().string()));
  run->task = make_task(run->file.recipe(), device);
  load_weights(verified, run->task->store());
  run->step = verified.checkpoint.step;
  return run;
}

}  // namespace gesso
