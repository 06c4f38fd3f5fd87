// gesso report: runs as a page to look at.
#include "train/report.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/verbs.h"

namespace gesso {
namespace {

struct ReportOptions {
  std::vector<std::string> runs;
  std::string out;
  bool json = false;
};

void run_report(const ReportOptions& options) {
  if (options.out.empty() && options.runs.size() > 1)
    fail("report: {} runs, and no place for what is of all of them; name one with --out", options.runs.size());
  const std::vector<Path> runs(options.runs.begin(), options.runs.end());
  const Path out = options.out.empty() ? runs[0] / kReportFile : Path(options.out);
  write_report(runs, out);
  if (options.json) return print_json({{"out", out.string()}, {"runs", runs.size()}});
  fmt::print("{}\n", out.string());
}

}  // namespace

void add_report(Verb program, Outcome&) {
  Verb verb = program.add_verb("report", "Writes a page that shows runs: curves, pictures over time, settings");
  auto options = std::make_shared<ReportOptions>();
  verb.add("runs", options->runs, "Run directories, side by side where there are several").required();
  verb.add("--out", options->out, "The page to write (HTML); default, for one run: report.html in it");
  add_json_option(verb, options->json);
  verb.footer(
      "Example: gesso report runs/first\n"
      "         gesso report runs/first runs/second --out compared.html");
  verb.runs([options] { run_report(*options); });
}

}  // namespace gesso
