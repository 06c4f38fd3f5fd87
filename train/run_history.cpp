#include "train/run_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <span>
#include <string_view>

#include "core/error.h"
#include "train/history_text.h"
#include "train/run.h"

namespace gesso {
namespace {

// take(line) for each line of a file that may be missing.
template <class Take>
void each_line_of(const Path& path, Take&& take) {
  if (const auto file = OpenFile::to_read_if_there(posix_file_system(), path))
    each_line(*file, [&](const FileLine& line) { take(line.text); });
}

std::optional<Extremes> read_extremes(const Path& path) {
  const auto file = OpenFile::to_read_if_there(posix_file_system(), path);
  if (!file) return std::nullopt;
  std::string text(kMaxLine, '\0');
  text.resize(file->read(std::as_writable_bytes(std::span(text))));
  return extremes_of(text);
}

// Against the recipe as it is now. Sizes that a recipe leaves to its data are no change.
void find_changes(RunHistory& history) {
  RecipeFile before;
  try {
    before.config().load_file(recipe_path(history.recipe.about.recipe));
    history.knows_recipe = true;
  } catch (const Error&) {
    before.recipe() = Recipe();
  }
  const auto expected = before.config().describe();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::string& key = expected[i].key;
    const bool follows_data =
        (key == "model.height" || key == "model.width" || key == "model.channels") && expected[i].value == "0";
    if (key.starts_with("about.") || follows_data || expected[i].value == history.settings[i].value) continue;
    history.changed.emplace_back(key, history.settings[i].value);
  }
}

}  // namespace

const Series* RunHistory::series(std::string_view name) const {
  const auto found = std::ranges::find(metrics, name, &Series::name);
  return found == metrics.end() ? nullptr : &*found;
}

std::string picture_name(std::int64_t step) { return fmt::format("step-{:08}.png", step); }

std::vector<RunPicture> saved_pictures(const Path& run) {
  const Path folder = run / kSamplesFolder;
  std::vector<RunPicture> pictures;
  if (std::error_code ignored; !std::filesystem::is_directory(folder, ignored)) return pictures;
  for (const std::string& name : list_directory(folder)) {
    constexpr std::string_view kBefore = "step-";
    if (!name.starts_with(kBefore)) continue;
    std::int64_t step = -1;
    std::from_chars(name.data() + kBefore.size(), name.data() + name.size(), step);
    if (step >= 0 && name == picture_name(step)) pictures.push_back({step, folder / name});
  }
  std::ranges::stable_sort(pictures, {}, &RunPicture::step);
  return pictures;
}

RunHistory read_history(const Path& run) {
  RunHistory history;
  history.directory = run;
  RecipeFile file;
  load_run_config(run, file.config());
  history.recipe = file.recipe();
  history.settings = file.config().describe();
  find_changes(history);
  MetricsReader metrics(history);
  each_line_of(run / kMetricsFile, [&](std::string_view line) { metrics.take(line); });
  each_line_of(run / kStartsFile, [&](std::string_view line) { take_start(line, history); });
  history.pictures = saved_pictures(run);
  each_line_of(run / kCodesFile, [&](std::string_view line) { take_code_count(line, history); });
  each_line_of(run / kSkippedFile, [&](std::string_view line) { take_skipped(line, history); });
  history.extremes = read_extremes(run / kExtremesFile);
  return history;
}

}  // namespace gesso
