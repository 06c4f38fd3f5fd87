#include "train/run_record.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <utility>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "train/json_text.h"
#include "train/png.h"
#include "train/text.h"

namespace gesso {
namespace {

// "2026-01-31T12:00:00Z"
std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

void add_start(const Path& run, const RunStart& start) {
  JsonObjectText object;
  object.add("step", start.step);
  object.add("time", start.time);
  object.add("command", start.command);
  object.add("version", start.version);
  object.add("device", start.device);
  object.add("machine", start.machine);
  object.add("test_images", start.test_images);
  AppendFile(run / kStartsFile, AppendFile::Open::at_end).append(object.in_one_line() + '\n');
}

std::vector<EventFile::Setting> settings_of(const Recipe& recipe) {
  RecipeFile file;
  file.recipe() = recipe;
  std::vector<EventFile::Setting> settings;
  for (const JsonConfig::Description& field : file.config().describe())
    if (!field.key.starts_with("about.")) settings.push_back({field.key, field.value});
  return settings;
}

// As Markdown shows it letter by letter.
std::string as_code(std::string_view text) {
  std::string code = "    ";
  for (const char c : text) code += c == '\n' ? "\n    " : std::string(1, c);
  return code;
}

}  // namespace

std::string event_line(const StepRecord& record) {
  return event_line(record.step, name_of(record.decision.verdict), record.what(),
                    {{"loss", record.loss()},
                     {"grad_norm", record.norm()},
                     {"loss_limit", record.decision.loss_limit},
                     {"grad_norm_limit", record.decision.norm_limit}});
}

RunRecord::RunRecord(const Path& run, const Recipe& recipe, RunStart start)
    : run_(run), recipe_(recipe), start_(std::move(start)), metrics_(run, start_.step) {
  start_.time = time_text();
  start_.machine = fmt::format("{}, {} threads", name_of(isa()), thread_pool().threads());
}

void RunRecord::begin() {
  add_start(run_, start_);
  events_.emplace(run_, start_.step);
  events_->settings(settings_of(recipe_));
  events_->text(start_.step, "configuration", as_code(text_of(recipe_)));
}

void RunRecord::metrics(std::int64_t step, const std::vector<Metric>& metrics) {
  metrics_.append(metrics_line(step, "train", metrics));
  if (events_) events_->scalars(step, "train", metrics);
}

void RunRecord::event(const StepRecord& record) {
  metrics_.append(event_line(record));
  if (events_) events_->text(record.step, "events", as_code(record.what()));
}

std::vector<std::byte> RunRecord::png_of(std::int64_t step, const Image& picture) const {
  return encode_png(picture, {{"Comment", start_.command},
                              {"Description", fmt::format("step {}, seed {}", step, recipe_.train.seed)}});
}

Path RunRecord::pictures(std::int64_t step, const Image& grid) {
  const std::vector<std::byte> png = png_of(step, grid);
  const Path path = run_ / kSamplesFolder / picture_name(step);
  make_directories(path.parent_path());
  write_file_atomically(path, png);
  if (events_) events_->image(step, kSamplesFolder, grid.shape, png);
  return path;
}

void RunRecord::extremes(const Extremes& found, const Image& worst, const Image& best) {
  write_file_atomically(run_ / kWorstPicture, png_of(found.step, worst));
  write_file_atomically(run_ / kBestPicture, png_of(found.step, best));
  write_file_atomically(run_ / kExtremesFile, text_of(found));
}

void RunRecord::histograms(std::int64_t step, const nn::ParamStore& store,
                           const std::vector<std::int64_t>& code_counts) {
  if (!code_counts.empty()) write_file_atomically(run_ / kCodesFile, fmt::format("{}\n", fmt::join(code_counts, "\n")));
  if (!events_) return;
  const std::vector<float> weights = store.weights().to_host<float>(), gradients = store.gradients().to_host<float>();
  for (const nn::Param& param : store.params()) {
    if (param.spec().kind != nn::ParamKind::trained) continue;
    const auto offset = static_cast<std::size_t>(param.offset());
    const auto count = static_cast<std::size_t>(param.spec().shape.count());
    events_->histogram(step, "weights/" + param.name(), histogram_of(std::span(weights).subspan(offset, count)));
    events_->histogram(step, "gradients/" + param.name(), histogram_of(std::span(gradients).subspan(offset, count)));
  }
  if (!code_counts.empty()) events_->histogram(step, "codes/by_rank", histogram_by_rank(code_counts));
}

}  // namespace gesso
