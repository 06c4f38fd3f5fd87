// The lines of a run's files, parsed into its history. They never throw for what a text says: a line that
// is none of gesso's is left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "train/file_lines.h"
#include "train/json_text.h"
#include "train/run_history.h"

namespace gesso {

// take(line) for each, without its end.
template <class Take>
void each_line(std::string_view text, Take&& take) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    take(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}
// An empty object for a line that is not one of JSON with nothing nested in it, or longer than any of gesso's.
JsonTree object_in(std::string_view line);
// A step or a number of things; -1 where there is none.
std::int64_t whole_in(const nlohmann::json& object, const char* key);
std::int64_t step_in(const nlohmann::json& object);

// Of metrics.jsonl. A line of a step that does not rise is none of a run's. Of a series that would come to have
// more than `most_values` (even) every second one goes; so again and again.
class MetricsReader {
 public:
  explicit MetricsReader(RunHistory& history, std::size_t most_values = std::size_t{1} << 19)
      : history_(history), most_values_(most_values) {}
  void take(std::string_view line);

 private:
  void add_value(const std::string& name, double value);

  RunHistory& history_;
  std::size_t most_values_;
  std::int64_t last_step_ = -1;
};
void take_start(std::string_view line, RunHistory& history);
void take_code_count(std::string_view line, RunHistory& history);
void take_skipped(std::string_view line, RunHistory& history);

}  // namespace gesso
