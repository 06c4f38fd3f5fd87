// The texts of a run's files, parsed line by line into its history. They never throw for what a text says: a line that
// is none of gesso's is left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "train/json_text.h"
#include "train/run_history.h"

namespace gesso {

inline constexpr std::size_t kMaxLine = std::size_t{64} << 10;  // longer than any that gesso writes

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

void read_metrics(std::string_view text, RunHistory& history);
void read_starts(std::string_view text, RunHistory& history);
void read_code_counts(std::string_view text, RunHistory& history);
void read_skipped(std::string_view text, RunHistory& history);

}  // namespace gesso
