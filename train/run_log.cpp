#include "train/run_log.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ranges>
#include <span>
#include <utility>

#include "train/history_text.h"
#include "train/json_text.h"
#include "train/run_history.h"
#include "train/standard_streams.h"

namespace gesso {
namespace {

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col - 1u : 99u;
}

// Whether it is one of a step up to `step`; what a kill left half written is none.
bool stays(const FileLine& line, std::int64_t step) {
  const std::int64_t its_step = line.is_whole ? step_in(object_in(line.text).value) : -1;
  return its_step >= 0 && its_step <= step;
}

void copy_lines_up_to(const OpenFile& from, std::int64_t step, AtomicFile& to) {
  constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
  std::string kept;
  const auto write = [&] {
    to.write(std::as_bytes(std::span(kept)));
    kept.clear();
  };
  each_line(from, [&](const FileLine& line) {
    if (!stays(line, step)) return;
    kept.append(line.text) += '\n';
    if (kept.size() > kPieceBytes) write();
  });
  write();
}

// The path of the file, which is then without them; it is left as it is where it has none.
Path without_lines_behind(const Path& path, std::int64_t step) {
  const auto file = OpenFile::to_read_if_there(posix_file_system(), path);
  if (!file) return path;
  bool all_stay = true;
  each_line(*file, [&](const FileLine& line) { all_stay = all_stay && stays(line, step); });
  if (all_stay) return path;
  AtomicFile kept(path);
  file->seek(0);
  copy_lines_up_to(*file, step, kept);
  kept.commit();
  return path;
}

std::string line_of(JsonObjectText object, const std::vector<Metric>& metrics) {
  for (const Metric& metric : metrics) {
    if (std::isfinite(metric.value))
      object.add(metric.name, metric.value);
    else
      object.add(metric.name, fmt::format("{}", metric.value));
  }
  return object.in_one_line() + '\n';
}

JsonObjectText object_of(std::int64_t step, std::string_view split) {
  JsonObjectText object;
  object.add("step", step);
  object.add("split", split);
  return object;
}

std::string format_number(double value) {
  const double size = std::abs(value);
  if (value == std::floor(value) && size < 1e6) return fmt::format("{:.0f}", value);
  return size >= 1e-3 && size < 1e5 ? fmt::format("{:.4g}", value) : fmt::format("{:.2e}", value);
}

}  // namespace

MetricsFile::MetricsFile(const Path& run, std::int64_t from_step)
    : file_(without_lines_behind(run / kMetricsFile, from_step), AppendFile::Open::at_end) {}

std::string metrics_line(std::int64_t step, std::string_view split, const std::vector<Metric>& metrics) {
  return line_of(object_of(step, split), metrics);
}

std::string event_line(std::int64_t step, std::string_view kind, std::string_view text,
                       const std::vector<Metric>& metrics) {
  JsonObjectText object = object_of(step, kEventSplit);
  object.add("event", kind);
  object.add("text", text);
  return line_of(std::move(object), metrics);
}

std::string progress_text(const std::string& name, const Progress& progress, std::size_t width) {
  struct Part {
    std::string text;
    int rank;  // the highest goes first
  };
  const double done = static_cast<double>(progress.step) / static_cast<double>(progress.steps);
  std::vector<Part> parts = {{fmt::format("{} {}/{} {:.0f}%", name, progress.step, progress.steps, 100 * done), 0}};
  for (const Metric& metric : progress.metrics) {
    const std::string text = fmt::format("{} {}", metric.name, format_number(metric.value));
    if (parts.size() == 1)
      parts.push_back({fmt::format("{} (average {})", text, format_number(progress.average)), 1});
    else
      parts.push_back({text, 5});
  }
  parts.push_back({fmt::format("{} steps/s", format_number(progress.steps_per_second)), 6});
  parts.push_back({fmt::format("{:.0f} img/s", progress.images_per_second), 2});
  if (progress.seconds_left >= 0) parts.push_back({fmt::format("eta {}", format_seconds(progress.seconds_left)), 0});
  parts.push_back({fmt::format("data {:.0f}%", 100 * progress.data_share), 3});
  parts.push_back({fmt::format("compute {:.0f}%", 100 * progress.compute_share), 7});
  parts.push_back({fmt::format("save {:.0f}%", 100 * progress.checkpoint_share), 7});
  parts.push_back({format_bytes(progress.memory_bytes), 4});
  const auto line = [&] {
    std::string text = parts.front().text;
    for (std::size_t i = 1; i < parts.size(); ++i) text += " | " + parts[i].text;
    return text;
  };
  while (parts.size() > 1 && line().size() > width) {
    const auto last = std::ranges::max_element(std::views::reverse(parts), {}, &Part::rank);
    parts.erase(std::prev(last.base()));
  }
  return line().substr(0, width);
}

ProgressLine::ProgressLine(std::string name, LogFormat format, const std::atomic<bool>* stop)
    : name_(std::move(name)),
      format_(format),
      stop_(stop),
      terminal_(format == LogFormat::text && isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (open_) tell("\n");
}

void ProgressLine::show(const Progress& progress, bool due) {
  constexpr std::int64_t kShortestPauseMs = 100;
  if (!terminal_ && !due) return;
  if (format_ == LogFormat::json) return hand_on(progress.record);
  if (!terminal_) return tell(progress_text(name_, progress, std::string::npos) + '\n');
  if (now_ms() - last_ms_ < kShortestPauseMs && progress.step != progress.steps) return;
  last_ms_ = now_ms();
  constexpr const char* kEraseLine = "\r\x1b[K";
  tell(kEraseLine + progress_text(name_, progress, terminal_width()));
  open_ = true;
}

void ProgressLine::hand_on(std::string_view line) {
  if (format_ == LogFormat::json) (void)hand_over(line, stop_);  // it gives up where the run stops, and says so
}

void ProgressLine::say(const std::string& text) {
  tell((open_ ? "\n" : "") + text + '\n');
  open_ = false;
}

std::string format_bytes(std::size_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_seconds(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{:.1f}s", seconds);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

}  // namespace gesso
