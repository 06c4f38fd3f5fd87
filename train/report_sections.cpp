#include "train/report_sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>

#include "core/error.h"
#include "train/history_text.h"
#include "train/html.h"
#include "train/json_text.h"
#include "train/open_dataset.h"
#include "train/png.h"
#include "train/text.h"

namespace gesso {
namespace {

constexpr std::uintmax_t kPictureBytes = 10 << 20;  // of all PNGs of a page, which takes a third more
constexpr std::size_t kMostFrames = 24;             // of a film

std::string directory_name(const Path& directory) {
  const Path path = directory.lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// So many of the pictures, from the first to the last.
std::vector<RunPicture> spread_over(const std::vector<RunPicture>& pictures, std::size_t count) {
  if (count < 2) return {pictures.back()};
  std::vector<RunPicture> chosen;
  for (std::size_t i = 0; i < count; ++i) chosen.push_back(pictures[i * (pictures.size() - 1) / (count - 1)]);
  return chosen;
}

std::uintmax_t bytes_of(const std::vector<RunPicture>& pictures) {
  std::uintmax_t sum = 0;
  for (const RunPicture& picture : pictures) {
    std::error_code gone;
    const std::uintmax_t bytes = std::filesystem::file_size(picture.file, gone);
    sum += gone ? 0 : std::min(bytes, 2 * kPictureBytes);
  }
  return sum;
}

std::vector<RunPicture> frames_of(const RunHistory& run, std::uintmax_t most_bytes) {
  if (run.pictures.empty()) return {};
  std::size_t count = std::min(kMostFrames, run.pictures.size());
  std::vector<RunPicture> frames = spread_over(run.pictures, count);
  while (count > 1 && bytes_of(frames) > most_bytes) frames = spread_over(run.pictures, --count);
  return frames;
}

std::string frame(const RunPicture& picture) {
  return fmt::format(
      "<figure>{}<figcaption class=\"soft\">step {}</figcaption></figure>",
      picture_element(picture.file, fmt::format("step {}: test pictures above their reconstructions", picture.step)),
      picture.step);
}

std::string film(const std::vector<RunPicture>& pictures) {
  std::string frames;
  for (const RunPicture& picture : pictures) frames += frame(picture);
  if (pictures.size() == 1) return frames;
  return fmt::format(
      "<div class=\"film\"><div class=\"frames\">{}</div><div class=\"controls\"><button type=\"button\">Play</button>"
      "<input type=\"range\" min=\"0\" max=\"{}\" value=\"{}\" aria-label=\"step\"></div></div>",
      frames, pictures.size() - 1, pictures.size() - 1);
}

// A setting's JSON as the command line takes it.
std::string plain_value(const std::string& json) {
  const std::optional<JsonTree> tree = json_in(json);
  if (!tree) return json;
  const nlohmann::json& parsed = tree->value;
  if (parsed.is_string()) return parsed.get<std::string>();
  return parsed.is_array() ? json.substr(1, json.size() - 2) : json;
}

std::string command_for(const RunHistory& run) {
  const std::string device = run.starts.empty() ? "" : run.starts.back().device;
  const std::string where = device.empty() || device == "cpu" ? "" : " --device " + in_shell(device);
  if (!run.knows_recipe)
    return fmt::format("gesso train {} --out again{}", in_shell((run.directory / kConfigFile).string()), where);
  std::string command = fmt::format("gesso train {} --out again{}", in_shell(run.recipe.about.recipe), where);
  for (const auto& [key, value] : run.changed) command += " " + in_shell(key + "=" + plain_value(value));
  return command;
}

std::string starts_of(const RunHistory& run) {
  constexpr std::size_t kShown = 50;
  if (run.starts.empty()) return {};
  std::string list;
  for (const RunStart& start : std::span(run.starts).last(std::min(kShown, run.starts.size())))
    list += fmt::format("<p class=\"soft\">From step {} on, started {}, gesso {}, on {}:</p><pre>{}</pre>", start.step,
                        html(start.time), html(start.version), html(start.device), html(start.command));
  if (run.starts.size() > 1)
    list +=
        "<p class=\"soft\">A setting that changed on a resume has its last value in the command above; these commands, "
        "one after the other, change it where the run did.</p>";
  return fmt::format("<details><summary>How it was started</summary>{}</details>", list);
}

// What the run has now, if that is another value than the chosen one.
std::string changed_since(const RunHistory& run, std::string_view key, std::string_view chosen) {
  const auto setting = std::ranges::find(run.settings, key, &JsonConfig::Description::key);
  if (setting == run.settings.end() || plain_value(setting->value) == chosen) return {};
  return "; since a resume " + plain_value(setting->value);
}

// Of lines "key=value: why".
std::string chosen_table(const RunHistory& run) {
  std::string rows;
  each_line(run.recipe.about.chosen, [&](std::string_view line) {
    const std::size_t equals = std::min(line.find('='), line.size()), colon = std::min(line.find(": "), line.size());
    const auto part = [&](std::size_t begin, std::size_t end) {
      return begin < end ? line.substr(begin, end - begin) : std::string_view();
    };
    const std::string_view key = part(0, equals), value = part(equals + 1, colon);
    rows += fmt::format("<tr><th>{}</th><td class=\"number\">{}</td><td class=\"note\">{}{}</td></tr>", html(key),
                        html(value), html(part(colon + 2, line.size())), html(changed_since(run, key, value)));
  });
  return fmt::format("<table class=\"one\">{}</table>", rows);
}

std::string chosen_settings(std::span<const RunHistory> runs) {
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].recipe.about.chosen.empty()) continue;
    const bool alone = runs.size() == 1;
    text += fmt::format("<details{}><summary>What gesso chose{}{}, and why</summary>{}</details>", alone ? " open" : "",
                        alone ? "" : " for ", alone ? "" : marked_name(runs, i), chosen_table(runs[i]));
  }
  return text;
}

// Whether the value, with the reason for it, stands in the table of what gesso chose.
bool is_chosen(const RunHistory& run, const JsonConfig::Description& setting) {
  const std::string line = fmt::format("\n{}={}: ", setting.key, plain_value(setting.value));
  return ("\n" + run.recipe.about.chosen).find(line) != std::string::npos;
}

// A setting that is not the same in all runs stands out in any of them.
bool is_changed(std::span<const RunHistory> runs, std::size_t setting) {
  const std::string& key = runs[0].settings[setting].key;
  return std::ranges::any_of(runs, [&](const RunHistory& run) {
    return (!key.starts_with("about.") && run.settings[setting].value != runs[0].settings[setting].value) ||
           (!is_chosen(run, run.settings[setting]) &&
            std::ranges::find(run.changed, key, &std::pair<std::string, std::string>::first) != run.changed.end());
  });
}

// Before the settings that are changed, if any are.
std::string settings_caption(std::span<const RunHistory> runs, bool any) {
  const bool chosen = std::ranges::any_of(runs, [](const RunHistory& run) { return !run.recipe.about.chosen.empty(); });
  const std::string_view other = chosen ? " else" : "";
  if (!any) return fmt::format("All{} is as in the recipe{}.", other, runs.size() == 1 ? "" : "s, and the same");
  return fmt::format("What{} is not as in the recipe{}:", other,
                     runs.size() == 1 ? "" : "s, or not the same in all runs");
}

}  // namespace

std::string name_of(const RunHistory& run, std::span<const RunHistory> runs) {
  const std::string name = directory_name(run.directory);
  const auto same =
      std::ranges::count_if(runs, [&](const RunHistory& other) { return directory_name(other.directory) == name; });
  return name.empty() || same > 1 ? run.directory.string() : name;
}

std::string marked_name(std::span<const RunHistory> runs, std::size_t i) {
  const std::string dot = runs.size() == 1 ? "" : fmt::format("<span class=\"dot b{}\"></span>", i);
  return fmt::format("{}<bdi>{}</bdi>", dot, html(name_of(runs[i], runs)));
}

std::string picture_element(const Path& file, std::string_view what) {
  try {
    const std::vector<std::byte> png = read_file(file, 2 * kPictureBytes);
    const ImageShape shape = decode_png(png, file.filename().string()).shape;
    return fmt::format("<img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\">", png_address(png), shape.width,
                       shape.height, html(what));
  } catch (const Error& error) {
    return fmt::format("<p class=\"warn\">{}</p>", html(error.what()));
  }
}

RunTable::RunTable(std::span<const RunHistory> runs) : runs_(runs) {
  if (runs.size() == 1) return;
  rows_ = "<tr><th></th>";
  for (std::size_t i = 0; i < runs.size(); ++i) rows_ += fmt::format("<th>{}</th>", marked_name(runs, i));
  rows_ += "</tr>";
}

void RunTable::row(std::string_view what, const std::function<std::string(const RunHistory&)>& value,
                   std::string_view note) {
  std::string cells;
  bool any = false;
  for (const RunHistory& run : runs_) {
    const std::string text = value(run);
    any = any || !text.empty();
    cells += fmt::format("<td class=\"number\">{}</td>", html(text));
  }
  if (!any) return;
  if (!note.empty()) cells += fmt::format("<td class=\"note\">{}</td>", html(note));
  rows_ += fmt::format("<tr><th>{}</th>{}</tr>", html(what), cells);
}

std::string RunTable::text() const {
  return fmt::format("<table class=\"{}\">{}</table>", runs_.size() > 1 ? "several" : "one", rows_);
}

std::string chart_card(std::string_view title, std::span<const ChartLine> lines, const ChartOptions& options) {
  const std::string chart = svg_chart(lines, options);
  if (chart.empty()) return {};
  return fmt::format("<figure class=\"card\"><h3>{}</h3>{}<div class=\"readout\"></div></figure>\n", html(title),
                     chart);
}

std::string films(std::span<const RunHistory> runs) {
  std::string cards;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::vector<RunPicture> pictures = frames_of(runs[i], kPictureBytes / runs.size());
    if (pictures.empty()) continue;
    const std::string title = runs.size() == 1 ? "" : fmt::format("<h3>{}</h3>", marked_name(runs, i));
    cards += fmt::format("<div class=\"card\">{}{}</div>\n", title, film(pictures));
  }
  return cards;
}

std::string code_usage(std::span<const RunHistory> runs) {
  std::vector<ChartLine> lines;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<std::int64_t> counts = runs[i].code_counts;
    const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
    if (counts.empty() || mean == 0) continue;
    std::ranges::sort(counts, std::greater<>());
    ChartLine line{.colour = i, .x = {}, .y = {}};
    for (std::size_t rank = 0; rank < counts.size(); ++rank) {
      line.x.push_back(static_cast<double>(rank + 1));
      line.y.push_back(static_cast<double>(counts[rank]) / mean);
    }
    lines.push_back(std::move(line));
  }
  return chart_card("how often each code occurs, as a multiple of the mean; codes by falling frequency", lines,
                    {.x_name = "code", .from_zero = true});
}

std::string data_report(std::span<const RunHistory> runs) {
  RunTable table(runs);
  table.row("kind", [](const RunHistory& run) { return run.recipe.data.kind; });
  table.row("folder", [](const RunHistory& run) { return run.recipe.data.path; });
  table.row("trained on", [](const RunHistory& run) { return run.recipe.about.data; });
  table.row("tested on", [](const RunHistory& run) {
    const std::int64_t images = run.starts.empty() ? -1 : run.starts.back().test_images;
    return images < 0 ? std::string() : fmt::format("{} images", images);
  });
  table.row("prepared", [](const RunHistory& run) { return preparation_of(run.recipe.data); });
  table.row("unusable files", [](const RunHistory& run) { return fmt::format("{}", run.skipped_count); });
  std::string text = table.text();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs[i].skipped.empty()) continue;
    std::string list;
    for (const std::string& file : runs[i].skipped) list += html(file) + "\n";
    constexpr std::int64_t kFew = 10;
    text +=
        fmt::format("<details{}><summary>Files that could not be used{}{}: {}{}</summary><pre>{}</pre></details>",
                    runs.size() == 1 && runs[i].skipped_count <= kFew ? " open" : "", runs.size() == 1 ? "" : " by ",
                    runs.size() == 1 ? "" : marked_name(runs, i), runs[i].skipped_count,
                    runs[i].skipped_count > std::ssize(runs[i].skipped) ? ", of which the first" : "", list);
  }
  return text;
}

std::string settings_report(std::span<const RunHistory> runs) {
  RunTable changed(runs), all(runs);
  bool any = false;
  for (std::size_t i = 0; i < runs[0].settings.size(); ++i) {
    const auto& [key, expected, unused, doc] = runs[0].settings[i];
    const auto value = [i](const RunHistory& run) { return plain_value(run.settings[i].value); };
    all.row(key, value, doc);
    if (!is_changed(runs, i)) continue;
    any = true;
    changed.row(key, value, doc);
  }
  return chosen_settings(runs) +
         fmt::format("<p class=\"soft\">{}</p>{}<details><summary>All settings</summary>{}</details>",
                     settings_caption(runs, any), any ? changed.text() : "", all.text());
}

std::string reproduction(std::span<const RunHistory> runs) {
  std::string text;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (runs.size() > 1) text += fmt::format("<h3>{}</h3>", marked_name(runs, i));
    text += fmt::format("<pre>{}</pre>{}", html(command_for(runs[i])), starts_of(runs[i]));
  }
  return text +
         "<p class=\"soft\">The seed is among the settings (train.seed): with the same data, version and kind of "
         "device the bits are the same, for any number of threads.</p>";
}

}  // namespace gesso
