// The parts of a report. Private to report.cpp.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "train/chart.h"
#include "train/run_history.h"

namespace gesso {

// What a run is called among these: its directory's name, or its path where names are equal.
std::string name_of(const RunHistory& run, std::span<const RunHistory> runs);
// As HTML, with the colour of run number i.
std::string marked_name(std::span<const RunHistory> runs, std::size_t i);

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

// Empty where there is nothing to draw.
std::string chart_card(std::string_view title, std::span<const ChartLine> lines, const ChartOptions& options);

// Each is HTML; empty where no run has anything of it.
std::string films(std::span<const RunHistory> runs);
std::string code_usage(std::span<const RunHistory> runs);
std::string data_report(std::span<const RunHistory> runs);
std::string settings_report(std::span<const RunHistory> runs);
std::string reproduction(std::span<const RunHistory> runs);

}  // namespace gesso
