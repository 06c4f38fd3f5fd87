#include "train/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "train/chart.h"
#include "train/html.h"
#include "train/png.h"
#include "train/report_sections.h"
#include "train/run_log.h"
#include "train/step_record.h"

namespace gesso {
namespace {

// How a value of metrics.jsonl is shown.
struct Shown {
  std::string_view name, title;
  double scale = 1;
  bool about_speed = false, logarithmic = false, smoothed = false, from_zero = false;
};
constexpr double kMebibyte = 1 << 20;
constexpr Shown share_of_time(std::string_view name, std::string_view title) {
  return {.name = name, .title = title, .scale = 100, .about_speed = true, .from_zero = true};
}
constexpr Shown kShown[] = {
    {.name = "loss", .title = "loss", .logarithmic = true, .smoothed = true},
    {.name = "nmse", .title = "reconstruction error over pixel variance", .logarithmic = true, .smoothed = true},
    {.name = "vq", .title = "quantizer's loss", .logarithmic = true, .smoothed = true},
    {.name = "perplexity", .title = "perplexity of the codes", .from_zero = true},
    {.name = "usage", .title = "codes in use, %", .scale = 100, .from_zero = true},
    {.name = "grad_norm", .title = "gradient norm", .logarithmic = true, .smoothed = true},
    {.name = "rate", .title = "learning rate", .from_zero = true},
    {.name = "images_per_second", .title = "images a second", .about_speed = true, .from_zero = true},
    {.name = "memory_bytes",
     .title = "peak memory of tensors, MiB",
     .scale = 1 / kMebibyte,
     .about_speed = true,
     .from_zero = true},
    share_of_time("compute_share", "computing, % of the time"),
    share_of_time("data_share", "waiting for data, % of the time"),
    share_of_time("checkpoint_share", "saving, % of the time"),
    share_of_time("pictures_share", "making pictures, % of the time"),
};

Shown shown_as(const std::string& name) {
  const auto* const known = std::ranges::find(kShown, name, &Shown::name);
  return known != std::end(kShown) ? *known : Shown{.name = name, .title = name, .smoothed = true};
}

// What is no curve: summed up, listed or marked instead.
bool is_drawn(std::string_view name) {
  return name != "seconds" && name != kSavesFailed && !name.starts_with("slowest_");
}

// The names that any of the runs has: those known first, in their order.
std::vector<std::string> series_of(std::span<const RunHistory> runs) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    const bool has = std::ranges::any_of(runs, [&](const RunHistory& run) { return run.series(name) != nullptr; });
    if (has && is_drawn(name) && std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const Shown& shown : kShown) add(std::string(shown.name));
  for (const RunHistory& run : runs)
    for (const Series& series : run.metrics) add(series.name);
  return names;
}

// Every curve has them, so of a run not all, nor all that they say.
std::vector<ChartMark> marks_of(std::span<const RunHistory> runs) {
  constexpr std::size_t kMostMarks = 100, kMostBytes = 200;
  std::vector<ChartMark> marks;
  for (const RunHistory& run : runs) {
    const std::string who = runs.size() == 1 ? "" : name_of(run, runs) + ", ";
    const std::vector<RunEvent> events = events_of(run);
    for (const RunEvent& event : std::span(events).first(std::min(kMostMarks, events.size())))
      marks.push_back({static_cast<double>(event.step),
                       fmt::format("{}step {}: {}", who, event.step, event.what.substr(0, kMostBytes)),
                       event.is_trouble});
  }
  return marks;
}

std::string curves(std::span<const RunHistory> runs, bool about_speed) {
  const std::vector<ChartMark> marks = marks_of(runs);
  std::string cards;
  for (const std::string& name : series_of(runs)) {
    const Shown shown = shown_as(name);
    if (shown.about_speed != about_speed) continue;
    std::vector<ChartLine> lines;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const Series* series = runs[i].series(name);
      if (!series) continue;
      lines.push_back({.colour = i, .x = series->steps, .y = series->values});
      for (double& value : lines.back().y) value *= shown.scale;
    }
    cards += chart_card(
        shown.title, lines,
        {.logarithmic = shown.logarithmic, .from_zero = shown.from_zero, .smoothed = shown.smoothed, .marks = marks});
  }
  return cards;
}

// A short run's first lines say nothing of its end.
double mean_of_last(const Series& series) {
  const auto begin = series.values.end() - std::clamp<std::ptrdiff_t>(std::ssize(series.values) / 10, 1, 10);
  return std::accumulate(begin, series.values.end(), 0.0) / static_cast<double>(series.values.end() - begin);
}

double total_seconds(const RunHistory& run) {
  const Series* seconds = run.series("seconds");
  return seconds ? std::accumulate(seconds->values.begin(), seconds->values.end(), 0.0) *
                       static_cast<double>(seconds->lines_a_value)
                 : std::nan("");
}

// Of the run's whole time, not the mean of its intervals'.
double whole_share(const RunHistory& run, std::string_view name) {
  const Series *share = run.series(name), *seconds = run.series("seconds");
  if (!share || !seconds || share->values.size() != seconds->values.size()) return std::nan("");
  return std::inner_product(share->values.begin(), share->values.end(), seconds->values.begin(), 0.0) *
         static_cast<double>(seconds->lines_a_value) / total_seconds(run);
}

std::string end_value(const RunHistory& run, const std::string& name) {
  const Series* series = run.series(name);
  if (!series) return "";
  const Shown shown = shown_as(name);
  const bool of_all = name.ends_with("_share");
  const double value = name == "memory_bytes" ? *std::ranges::max_element(series->values)
                       : of_all               ? whole_share(run, name)
                                              : mean_of_last(*series);
  return of_all && std::isnan(value) ? "" : short_number(value * shown.scale);
}

// "cpu (avx512, 2 threads)", of the newest start.
std::string device_text(const RunHistory& run) {
  if (run.starts.empty()) return {};
  const RunStart& start = run.starts.back();
  return start.machine.empty() ? start.device : fmt::format("{} ({})", start.device, start.machine);
}

std::string summary(std::span<const RunHistory> runs) {
  RunTable table(runs);
  table.row("recipe", [](const RunHistory& run) { return run.recipe.about.recipe; });
  table.row("steps", [](const RunHistory& run) { return fmt::format("{} of {}", run.step, run.recipe.train.steps); });
  table.row("time", [](const RunHistory& run) {
    const double seconds = total_seconds(run);
    return std::isfinite(seconds) ? format_seconds(seconds) : std::string();
  });
  for (const std::string& name : series_of(runs))
    table.row(std::string(shown_as(name).title), [&](const RunHistory& run) { return end_value(run, name); });
  table.row("seed", [](const RunHistory& run) { return fmt::format("{}", run.recipe.train.seed); });
  table.row("gesso", [](const RunHistory& run) { return run.recipe.about.version; });
  table.row("device", device_text);
  return table.text() +
         "<p class=\"soft\">Losses, speed and codes are those of training, as the mean of the last tenth of the lines "
         "of "
         "metrics.jsonl, at most ten lines; shares are of the whole time; memory is the largest.</p>";
}

// Where the last that is known of a run is a step that it could not go on from.
std::string stop_of(const RunHistory& run) {
  if (run.events.empty()) return {};
  const StepEvent& last = run.events.back();
  const bool stops =
      last.kind == name_of(ops::StepVerdict::not_finite) || last.kind == name_of(ops::StepVerdict::too_many);
  return stops && last.step > run.step ? fmt::format(" Stopped at step {}: {}.", last.step, last.kind) : "";
}

std::string verdict(const RunHistory& run) {
  const std::int64_t wanted = run.recipe.train.steps;
  std::string text = run.step >= wanted ? fmt::format("Finished: {} steps.", run.step)
                     : run.step == 0    ? std::string("No step is recorded yet.")
                                        : fmt::format("{} of {} steps so far.", run.step, wanted);
  text += stop_of(run);
  if (const double seconds = total_seconds(run); std::isfinite(seconds))
    text += fmt::format(" Time: {}.", format_seconds(seconds));
  if (const auto restarts = std::ranges::count_if(run.starts, [](const RunStart& start) { return start.step > 0; });
      restarts > 0)
    text += fmt::format(" Resumed {} time{}.", restarts, restarts == 1 ? "" : "s");
  if (run.unreadable_lines > 0)
    text += fmt::format(" {} line{} of metrics.jsonl could not be read.", run.unreadable_lines,
                        run.unreadable_lines == 1 ? "" : "s");
  const auto longest = std::ranges::max_element(run.metrics, {}, &Series::lines_a_value);
  if (longest != run.metrics.end() && longest->lines_a_value > 1)
    text += fmt::format(" Of {} lines of its long metrics.jsonl one is shown.", longest->lines_a_value);
  return text;
}

std::string header(std::span<const RunHistory> runs) {
  if (runs.size() == 1)
    return fmt::format("<h1><bdi>{}</bdi></h1><p>{}</p>", html(name_of(runs[0], runs)), html(verdict(runs[0])));
  std::string text = fmt::format("<h1>{} runs side by side</h1><div class=\"legend\">", runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i)
    text +=
        fmt::format("<span>{}<span class=\"soft\">: {}</span></span>", marked_name(runs, i), html(verdict(runs[i])));
  return text + "</div>";
}

// Which colour is which run, where there are several.
std::string colours_of(std::span<const RunHistory> runs) {
  if (runs.size() == 1) return {};
  std::string names;
  for (std::size_t i = 0; i < runs.size(); ++i) names += fmt::format("<span>{}</span>", marked_name(runs, i));
  return fmt::format("<div class=\"legend\">{}</div>", names);
}

}  // namespace

std::string report_page(std::span<const RunHistory> runs) {
  if (runs.empty() || runs.size() > kMostReported)
    fail("report: {} runs; expected 1 to {}", runs.size(), kMostReported);
  const auto section = [&](std::string_view title, std::string_view style, const std::string& content) {
    const std::string legend = style == "cards" ? colours_of(runs) : "";
    return content.empty() ? std::string()
                           : fmt::format("<h2>{}</h2>{}<div class=\"{}\">{}</div>\n", title, legend, style, content);
  };
  std::string names;
  for (const RunHistory& run : runs) names += (names.empty() ? "" : ", ") + name_of(run, runs);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>gesso: {}</title><style>{}</style></head>\n<body>\n",
      html(names), kReportStyle);
  page += header(runs);
  page += section("At a glance", "scroll", summary(runs));
  page += section("Curves, over steps", "cards", curves(runs, false));
  page += section("Test pictures above what the model makes of them", "wide", films(runs));
  page += section("Worst and best test pictures", "wide", extremes(runs));
  page += section("Codes", "cards", code_usage(runs));
  page += section("Speed and memory, over steps", "cards", curves(runs, true));
  page += section("Slowest steps", "scroll", slowest_steps(runs));
  page += section("Events", "scroll", events(runs));
  page += section("Data", "scroll", data_report(runs));
  page += section("Settings", "scroll", settings_report(runs));
  page += section("To make it again", "again", reproduction(runs));
  return page + fmt::format("<script>{}</script>\n</body></html>\n", kReportScript);
}

void write_report(std::span<const Path> runs, const Path& out) {
  std::vector<RunHistory> histories;
  for (const Path& run : runs) histories.push_back(read_history(run));
  write_file_atomically(out, report_page(histories));
}

}  // namespace gesso
