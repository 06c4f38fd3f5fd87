// The parts of a report that tell what stood out: the worst and best pictures, the slowest steps, resumes and failures.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "core/error.h"
#include "train/chart.h"
#include "train/comparison.h"
#include "train/html.h"
#include "train/metrics.h"
#include "train/png.h"
#include "train/report_sections.h"
#include "train/run_log.h"

namespace gesso {
namespace {

// A table of one row for each of what is told, of any run.
class IncidentTable {
 public:
  IncidentTable(std::span<const RunHistory> runs, const std::vector<std::string>& columns) : runs_(runs) {
    rows_ = runs.size() > 1 ? "<tr><th>run</th>" : "<tr>";
    for (const std::string& column : columns) rows_ += fmt::format("<th>{}</th>", html(column));
    rows_ += "</tr>";
  }

  // cells: text of any origin.
  void row(std::size_t run, const std::vector<std::string>& cells) {
    rows_ += runs_.size() > 1 ? fmt::format("<tr><td>{}</td>", marked_name(runs_, run)) : "<tr>";
    for (const std::string& cell : cells) rows_ += fmt::format("<td class=\"number\">{}</td>", html(cell));
    rows_ += "</tr>";
  }
  std::string text() const { return fmt::format("<table class=\"incidents\">{}</table>", rows_); }

 private:
  std::span<const RunHistory> runs_;
  std::string rows_;
};

// One that was the slowest of its interval.
struct SlowStep {
  std::size_t run = 0;
  double step = 0, seconds = 0, data = 0, save = 0, pictures = 0;
};

// The value of that series in the line of this step; 0: there is none.
double value_at(const RunHistory& run, std::string_view name, double step) {
  const Series* series = run.series(name);
  if (!series) return 0;
  const auto place = std::ranges::lower_bound(series->steps, step);
  if (place == series->steps.end() || *place != step) return 0;
  const double value = series->values[static_cast<std::size_t>(place - series->steps.begin())];
  return std::isfinite(value) ? value : 0;
}

std::vector<SlowStep> slow_steps_of(const RunHistory& run, std::size_t number) {
  const Series* seconds = run.series("slowest_seconds");
  std::vector<SlowStep> slow;
  for (std::size_t line = 0; seconds && line < seconds->steps.size(); ++line) {
    const auto value = [&](std::string_view name) { return value_at(run, name, seconds->steps[line]); };
    slow.push_back({.run = number,
                    .step = value("slowest_step"),
                    .seconds = value("slowest_seconds"),
                    .data = value("slowest_data"),
                    .save = value("slowest_save"),
                    .pictures = value("slowest_pictures")});
  }
  return slow;
}

std::string milliseconds(double seconds) {
  return seconds < 1 ? fmt::format("{:.0f} ms", 1000 * seconds) : format_seconds(seconds);
}

// What took more than a twentieth of it, the longest first.
std::string parts_of(const SlowStep& step) {
  const double compute = step.seconds - step.data - step.save - step.pictures;
  std::vector<std::pair<double, const char*>> parts = {
      {compute, "computing"}, {step.data, "waiting for data"}, {step.save, "saving"}, {step.pictures, "pictures"}};
  std::ranges::stable_sort(parts, std::greater<>(), &std::pair<double, const char*>::first);
  std::string text;
  for (const auto& [seconds, what] : parts)
    if (seconds > step.seconds / 20)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", what, milliseconds(seconds));
  return text;
}

// What a step takes by the last line's speed. HTML.
std::string usual_step(std::span<const RunHistory> runs) {
  std::string usual;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Series* rate = runs[i].series("images_per_second");
    if (!rate || !(rate->values.back() > 0)) continue;
    usual += usual.empty() ? " A usual one took " : ", ";
    usual += milliseconds(static_cast<double>(runs[i].recipe.train.images_a_step()) / rate->values.back());
    if (runs.size() > 1) usual += " in " + marked_name(runs, i);
  }
  return usual.empty() ? usual : usual + ".";
}

std::string extreme_card(std::span<const RunHistory> runs, std::size_t i, const char* title, const char* file,
                         const std::vector<PictureError>& errors) {
  std::string numbers;
  for (const PictureError& error : errors)
    numbers += fmt::format("{}{} ({:.1f} dB)", numbers.empty() ? "" : ", ", error.index, psnr(error.mse));
  return fmt::format(
      "<div class=\"card\"><h3>{}{}</h3>{}<p class=\"soft\">Pictures {}. Of the first {} test pictures, after step "
      "{}.</p>"
      "</div>\n",
      title, runs.size() == 1 ? "" : ": " + marked_name(runs, i),
      picture_element(runs[i].directory / file, fmt::format("{} test pictures", title)), html(numbers),
      runs[i].extremes->looked_at, runs[i].extremes->step);
}

}  // namespace

std::vector<RunEvent> events_of(const RunHistory& run) {
  std::vector<RunEvent> events;
  for (const RunStart& start : run.starts)
    if (start.step > 0) events.push_back({start.step, "resumed", false});
  if (const Series* failed = run.series(kSavesFailed))
    for (std::size_t i = 0; i < failed->steps.size(); ++i)
      events.push_back({static_cast<std::int64_t>(failed->steps[i]),
                        fmt::format("{} saves failed since the line before", failed->values[i]), true});
  for (const StepEvent& event : run.events) {
    const std::size_t begin = event.text.find(": ");  // behind the step
    events.push_back({event.step, begin == std::string::npos ? event.kind : event.text.substr(begin + 2), true});
  }
  std::ranges::stable_sort(events, {}, &RunEvent::step);
  return events;
}

std::string events(std::span<const RunHistory> runs) {
  constexpr std::size_t kMostRows = 50;
  IncidentTable table(runs, {"step", "what"});
  std::size_t count = 0, shown = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::vector<RunEvent> its = events_of(runs[i]);
    const std::size_t rows = std::min(its.size(), kMostRows / runs.size());
    for (const RunEvent& event : std::span(its).first(rows)) table.row(i, {fmt::format("{}", event.step), event.what});
    count += its.size();
    shown += rows;
  }
  if (count == 0) return {};
  return table.text() + (shown < count ? fmt::format("<p class=\"soft\">The first of {}.</p>", count) : "");
}

std::string slowest_steps(std::span<const RunHistory> runs) {
  constexpr std::size_t kMostRows = 8;
  std::vector<SlowStep> slow;
  for (std::size_t i = 0; i < runs.size(); ++i) {  // of each run, or the slowest one's would be all that is seen
    std::vector<SlowStep> its = slow_steps_of(runs[i], i);
    std::ranges::stable_sort(its, std::greater<>(), &SlowStep::seconds);
    its.resize(std::min(its.size(), std::max<std::size_t>(2, kMostRows / runs.size())));
    slow.insert(slow.end(), its.begin(), its.end());
  }
  if (slow.empty()) return {};
  std::ranges::stable_sort(slow, std::greater<>(), &SlowStep::seconds);
  IncidentTable table(runs, {"step", "took", "of which"});
  for (const SlowStep& step : slow)
    table.row(step.run, {fmt::format("{}", step.step), milliseconds(step.seconds), parts_of(step)});
  return table.text() +
         fmt::format("<p class=\"soft\">Of each log interval the slowest is known.{}</p>", usual_step(runs));
}

std::string extremes(std::span<const RunHistory> runs) {
  std::string cards;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& found = runs[i].extremes;
    if (!found || found->worst.empty() || found->best.empty()) continue;
    cards += extreme_card(runs, i, "Worst", kWorstPicture, found->worst);
    cards += extreme_card(runs, i, "Best", kBestPicture, found->best);
  }
  if (cards.empty()) return {};
  return fmt::format(
      "<p class=\"soft\">From above: the picture, what the model makes of it, their difference, {} times as "
      "strong.</p>{}",
      kDifferenceShown, cards);
}

}  // namespace gesso
