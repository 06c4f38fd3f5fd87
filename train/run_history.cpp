#include "train/run_history.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "train/run.h"

namespace gesso {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{64} << 10, kMaxSeries = 64, kMaxStarts = 1000, kMaxEvents = 1000,
                      kMaxCodes = std::size_t{1} << 20;
constexpr std::int64_t kMaxStep = std::int64_t{1} << 53;  // doubles tell them apart

std::string text_of(const Path& path) {
  constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  return std::filesystem::exists(path) ? read_text_file(path, kMaxBytes) : std::string();
}

template <class Take>
void each_line(std::string_view text, Take&& take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// An empty object for what is not one of JSON in a short line.
Json object_in(std::string_view line) {
  Json object = line.size() > kMaxLine ? Json() : Json::parse(line, nullptr, false);
  return object.is_object() ? object : Json::object();
}

// -1 where there is none.
std::int64_t step_of(const Json& object) {
  const auto found = object.find("step");
  if (found == object.end() || !found->is_number_integer()) return -1;
  const auto step = found->get<std::int64_t>();
  return step >= 0 && step <= kMaxStep ? step : -1;
}

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void add_value(RunHistory& history, const std::string& name, double value) {
  auto found = std::ranges::find(history.metrics, name, &Series::name);
  if (found == history.metrics.end()) {
    if (history.metrics.size() == kMaxSeries) return;
    found = history.metrics.insert(history.metrics.end(), Series{name, {}, {}});
  }
  found->steps.push_back(static_cast<double>(history.step));
  found->values.push_back(value);
}

void add_event(RunHistory& history, std::int64_t step, const Json& object) {
  if (history.events.size() < kMaxEvents)
    history.events.push_back({step, text_at(object, "event"), text_at(object, "text")});
}

// A line of a step that does not rise is none of a run's.
void read_metrics(RunHistory& history) {
  std::int64_t last = -1;
  each_line(text_of(history.directory / kMetricsFile), [&](std::string_view line) {
    const Json object = object_in(line);
    const std::int64_t step = step_of(object);
    const std::string split = text_at(object, "split");
    if (step >= 0 && split == kEventSplit) return add_event(history, step, object);
    if (step >= 0 && split != "train") return;
    if (step <= last) {
      ++history.unreadable_lines;
      return;
    }
    history.step = last = step;
    for (const auto& [name, value] : object.items()) {
      if (name == "step" || name == "split") continue;
      add_value(history, name, value.is_number() ? value.get<double>() : std::nan(""));
    }
  });
}

void read_starts(RunHistory& history) {
  each_line(text_of(history.directory / kStartsFile), [&](std::string_view line) {
    const Json object = object_in(line);
    if (step_of(object) < 0 || history.starts.size() == kMaxStarts) return;
    history.starts.push_back({step_of(object), text_at(object, "time"), text_at(object, "command"),
                              text_at(object, "version"), text_at(object, "device")});
  });
}

void read_pictures(RunHistory& history) {
  const Path folder = history.directory / kSamplesFolder;
  if (!std::filesystem::is_directory(folder)) return;
  for (const std::string& name : list_directory(folder)) {
    constexpr std::string_view kBefore = "step-", kBehind = ".png";
    if (!name.starts_with(kBefore) || !name.ends_with(kBehind)) continue;
    const char *begin = name.data() + kBefore.size(), *end = name.data() + name.size() - kBehind.size();
    std::int64_t step = -1;
    const auto [stopped, error] = std::from_chars(begin, end, step);
    if (error == std::errc() && stopped == end && step >= 0) history.pictures.push_back({step, folder / name});
  }
  std::ranges::stable_sort(history.pictures, {}, &RunPicture::step);
}

void read_codes(RunHistory& history) {
  each_line(text_of(history.directory / kCodesFile), [&](std::string_view line) {
    std::int64_t count = 0;
    std::from_chars(line.data(), line.data() + line.size(), count);
    if (history.code_counts.size() < kMaxCodes)
      history.code_counts.push_back(std::clamp<std::int64_t>(count, 0, kMaxStep));
  });
}

void read_skipped(RunHistory& history) {
  constexpr std::size_t kMostKept = 200;
  each_line(text_of(history.directory / kSkippedFile), [&](std::string_view line) {
    ++history.skipped_count;
    if (history.skipped.size() < kMostKept) history.skipped.emplace_back(line.substr(0, kMaxLine));
  });
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

RunHistory read_history(const Path& run) {
  RunHistory history;
  history.directory = run;
  RecipeFile file;
  load_run_config(run, file.config());
  history.recipe = file.recipe();
  history.settings = file.config().describe();
  find_changes(history);
  read_metrics(history);
  read_starts(history);
  read_pictures(history);
  read_codes(history);
  read_skipped(history);
  history.extremes = extremes_of(std::string_view(text_of(run / kExtremesFile)).substr(0, kMaxLine));
  return history;
}

}  // namespace gesso
