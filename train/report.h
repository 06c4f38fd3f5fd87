// A page for the browser that shows what runs did: curves, pictures over time, codes, speed, data, settings, and how to
// make them again. One file; nothing is loaded from anywhere, and without scripts only the film and the cursor are
// missing.
#pragma once

#include <span>
#include <string>

#include "train/report_style.h"
#include "train/run_history.h"

namespace gesso {

inline constexpr std::size_t kMostReported = kChartColours;  // runs a report

// Of 1 to kMostReported runs, side by side. Throws ErrorKind::usage on another number.
std::string report_page(std::span<const RunHistory> runs);

inline constexpr const char* kReportFile = "report.html";  // in a run directory, of that run

// Writes it in one piece.
void write_report(std::span<const Path> runs, const Path& out);

}  // namespace gesso
