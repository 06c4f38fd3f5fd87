// What a run says: metrics.jsonl, one object a line, and lines for whoever watches.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "train/append_file.h"
#include "train/task.h"

namespace gesso {

// {"step":step,"split":split,"loss":...} and a line's end; a value that is not finite is written as a string.
std::string metrics_line(std::int64_t step, std::string_view split, const std::vector<Metric>& metrics);
// {"step":step,"split":"event","event":kind,"text":text,"loss":...}, likewise: what happened in one step.
std::string event_line(std::int64_t step, std::string_view kind, std::string_view text,
                       const std::vector<Metric>& metrics);

// metrics.jsonl of a run directory. Lines of steps behind `from_step` (left by a run that went on after its last
// checkpoint) are dropped when it is opened, so that no step stands there twice.
class MetricsFile {
 public:
  MetricsFile(const Path& run, std::int64_t from_step);

  // One of those above. Throws ErrorKind::io where it cannot be written whole; nothing of it stands there then.
  void append(std::string_view line) { file_.append(line); }

 private:
  AppendFile file_;
};

// What the live line shows. seconds_left < 0: not known yet.
struct Progress {
  std::int64_t step = 0, steps = 0;
  std::vector<Metric> metrics;  // the first one is what is minimised
  double average = 0;           // of the first one, recent steps weighing more
  double steps_per_second = 0, images_per_second = 0, seconds_left = -1;
  double data_share = 0, compute_share = 0, checkpoint_share = 0;  // of the time, waiting for batches, in steps, saving
  std::size_t memory_bytes = 0;
  std::string record{};  // where a log interval ended: its line of metrics.jsonl
};

// In at most `width` characters: where they do not suffice, what matters least is left out first, the time left last.
std::string progress_text(const std::string& name, const Progress& progress, std::size_t width);

// text: for people. json: each line of metrics.jsonl, to standard output.
enum class LogFormat : std::uint8_t { text, json };

// As text, one line on a terminal, overwritten at most ten times a second; elsewhere one whole line a log interval,
// without control characters. Goes to standard error: results have standard output for themselves.
class ProgressLine {
 public:
  // stop: see hand_over().
  ProgressLine(std::string name, LogFormat format, const std::atomic<bool>* stop);
  ~ProgressLine();  // leaves the terminal on a fresh line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // due: whether a log interval ended with this step; on a terminal every step is welcome.
  void show(const Progress& progress, bool due);
  // As json: a line of metrics.jsonl.
  void hand_on(std::string_view line);
  // A whole line of its own.
  void say(const std::string& text);

 private:
  std::string name_;
  LogFormat format_;
  const std::atomic<bool>* stop_;
  bool terminal_;
  bool open_ = false;  // an unfinished line stands on the terminal
  std::int64_t last_ms_ = 0;
};

std::string format_bytes(std::size_t bytes);  // "1.2 GiB"
std::string format_seconds(double seconds);   // "3h12m", "4m05s", "7.3s"

}  // namespace gesso
