// The parts of a report. Private to report.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/chart.h"
#include "train/run_history.h"

namespace gesso {

// What a run is called among these: its directory's name, or its path where names are equal.
std::string name_of(const RunHistory& run, std::span<const RunHistory> runs);
// As HTML, with the colour of run number i.
std::string marked_name(std::span<const RunHistory> runs, std::size_t i);

// A PNG, as a part of the page; what is none is said instead of shown.
std::string picture_element(const Path& file, std::string_view what);

// A table with a column for each run; rows that no run has a value for are left out.
class RunTable {
 public:
  explicit RunTable(std::span<const RunHistory> runs);
  // value: text of any origin; empty: none. note: stands behind.
  void row(std::string_view what, const std::function<std::string(const RunHistory&)>& value,
           std::string_view note = {});
  std::string text() const;

 private:
  std::span<const RunHistory> runs_;
  std::string rows_;
};

// What happened on the way: resumes, and what went wrong.
struct RunEvent {
  std::int64_t step = 0;
  std::string what;  // text of any origin
  bool is_trouble = false;
};
std::vector<RunEvent> events_of(const RunHistory& run);  // by rising step

// Empty where there is nothing to draw.
std::string chart_card(std::string_view title, std::span<const ChartLine> lines, const ChartOptions& options);

// Each is HTML; empty where no run has anything of it.
std::string films(std::span<const RunHistory> runs);
std::string extremes(std::span<const RunHistory> runs);
std::string code_usage(std::span<const RunHistory> runs);
std::string slowest_steps(std::span<const RunHistory> runs);
std::string events(std::span<const RunHistory> runs);
std::string data_report(std::span<const RunHistory> runs);
std::string settings_report(std::span<const RunHistory> runs);
std::string reproduction(std::span<const RunHistory> runs);

}  // namespace gesso
