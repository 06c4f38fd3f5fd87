// What a run says: metrics.jsonl, one object a line, and lines for whoever watches.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "train/append_file.h"
#include "train/task.h"

namespace gesso {

// To standard error. Where that takes nothing (a log on a full disk) nobody is told, and work goes on.
void tell(const std::string& text);

// metrics.jsonl of a run directory. Lines of steps behind `from_step` (left by a run that went on after its last
// checkpoint) are dropped when it is opened, so that no step stands there twice.
class MetricsFile {
 public:
  MetricsFile(const Path& run, std::int64_t from_step);

  // {"step":step,"split":split,"loss":...}; a value that is not finite is written as a string. Throws ErrorKind::io
  // where the line cannot be written whole; nothing of it stands there then.
  void write(std::int64_t step, std::string_view split, const std::vector<Metric>& metrics);

 private:
  AppendFile file_;
};

// What the live line shows. Rates in images a second; seconds_left < 0: not known yet.
struct Progress {
  std::int64_t step = 0, steps = 0;
  std::vector<Metric> metrics;
  double images_per_second = 0, seconds_left = -1;
  double data_share = 0, compute_share = 0, checkpoint_share = 0;  // of the time, waiting for batches, in steps, saving
  std::size_t memory_bytes = 0;
};

// One line on a terminal, overwritten at most ten times a second; elsewhere one whole line a log interval, without
// control characters. Goes to standard error: results have standard output for themselves.
class ProgressLine {
 public:
  explicit ProgressLine(std::string name);
  ~ProgressLine();  // leaves the terminal on a fresh line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // due: whether a log interval ended with this step; on a terminal every step is welcome.
  void show(const Progress& progress, bool due);
  // A whole line of its own.
  void say(const std::string& text);
  bool terminal() const { return terminal_; }

 private:
  std::string name_;
  bool terminal_;
  bool open_ = false;  // an unfinished line stands on the terminal
  std::int64_t last_ms_ = 0;
};

std::string format_bytes(std::size_t bytes);  // "1.2 GiB"
std::string format_seconds(double seconds);   // "3h12m", "4m05s", "7.3s"

}  // namespace gesso
