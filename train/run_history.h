// What a run has written, read back for those who look on. Any of it may come from a stranger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/extremes.h"
#include "train/recipe.h"

namespace gesso {

// One value of metrics.jsonl over the steps; not a number where the line says so.
struct Series {
  std::string name;
  std::vector<double> steps, values;
  std::int64_t lines = 0;          // that had it
  std::int64_t lines_a_value = 1;  // a power of two: of a long series, of as many lines the first is kept
};

// A process that trained: a line of starts.jsonl.
struct RunStart {
  std::int64_t step = 0;  // that it went on from
  std::string time, command, version, device;
  std::string machine{};          // instruction set and threads
  std::int64_t test_images = -1;  // -1: not known
};

// A step that did not go as steps go: spike, skipped, too many spikes, not finite.
struct StepEvent {
  std::int64_t step = 0;
  std::string kind, text;
};

struct RunPicture {
  std::int64_t step = 0;
  Path file;
};

struct RunHistory {
  Path directory;
  Recipe recipe;
  std::vector<JsonConfig::Description> settings;
  bool knows_recipe = false;  // the file that the run was started with can be read
  // Settings that are not as in that file, or else not as where nothing is said: key and value as JSON.
  std::vector<std::pair<std::string, std::string>> changed;

  std::vector<Series> metrics;        // of training, in the order of their first appearance
  std::int64_t step = 0;              // of the last line
  std::int64_t unreadable_lines = 0;  // of metrics.jsonl
  std::vector<StepEvent> events;      // the first 1000
  std::vector<RunStart> starts;
  std::vector<RunPicture> pictures;       // by rising step
  std::optional<Extremes> extremes;       // the worst and best test pictures, as triptychs in their files
  std::vector<std::int64_t> code_counts;  // how often each code occurred lately; empty: not known
  std::vector<std::string> skipped;       // files of the data, each with the reason: the first 200
  std::int64_t skipped_count = 0;         // of all

  const Series* series(std::string_view name) const;  // null where there is none
};

// Throws ErrorKind::data or usage where the directory is no run, or a file in it is not what gesso writes; io. Missing
// files are no error, but for config.json. Changes nothing.
RunHistory read_history(const Path& run);

// The grids of a run, by rising step: files of these names.
std::vector<RunPicture> saved_pictures(const Path& run);
std::string picture_name(std::int64_t step);

// A value of metrics.jsonl: saves that failed since the line before, where there were any.
inline constexpr const char* kSavesFailed = "saves_failed";

// Names of files in a run directory.
inline constexpr const char *kMetricsFile = "metrics.jsonl", *kStartsFile = "starts.jsonl", *kCodesFile = "codes.txt",
                            *kSkippedFile = "skipped.txt", *kSamplesFolder = "samples",
                            *kExtremesFile = "extremes.json", *kWorstPicture = "worst.png", *kBestPicture = "best.png";
inline constexpr const char* kEventSplit = "event";  // of lines of metrics.jsonl that tell of one step

}  // namespace gesso
