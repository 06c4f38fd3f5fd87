#include "train/history_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

namespace gesso {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxSeries = 64, kMaxStarts = 1000, kMaxEvents = 1000, kMaxCodes = std::size_t{1} << 20;
constexpr std::int64_t kMaxWhole = std::int64_t{1} << 53;  // doubles tell them apart

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

void keep_every_second(std::vector<double>& values) {
  for (std::size_t i = 0; 2 * i < values.size(); ++i) values[i] = values[2 * i];
  values.resize((values.size() + 1) / 2);
}

void add_event(RunHistory& history, std::int64_t step, const Json& object) {
  constexpr std::size_t kMaxText = 2000;  // more than gesso writes
  const auto text = [&](const char* key) { return text_at(object, key).substr(0, kMaxText); };
  if (history.events.size() < kMaxEvents) history.events.push_back({step, text("event"), text("text")});
}

// Takes an object of scalars and stops at anything else: what nests could cost far more than the line's bytes.
class FlatObject final : public JsonScalarHandler {
 public:
  JsonTree tree{Json::object()};

  bool start_object(std::size_t) override { return !std::exchange(inside_, true); }
  bool key(std::string& key) override {
    key_ = std::move(key);
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  bool scalar(Json&& value) override {
    if (inside_) tree.value[key_] = std::move(value);
    return inside_;
  }
  bool inside_ = false;
  std::string key_;
};

}  // namespace

JsonTree object_in(std::string_view line) {
  FlatObject flat;
  // The parser alone would take seconds to refuse ten million empty lines.
  const bool good = line.starts_with('{') && line.size() <= kMaxLine && Json::sax_parse(line, &flat);
  return good ? std::move(flat.tree) : JsonTree(Json::object());
}

std::int64_t whole_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return -1;
  const auto value = found->get<std::int64_t>();
  return value >= 0 && value <= kMaxWhole ? value : -1;
}
std::int64_t step_in(const nlohmann::json& object) { return whole_in(object, "step"); }

void MetricsReader::add_value(const std::string& name, double value) {
  auto found = std::ranges::find(history_.metrics, name, &Series::name);
  if (found == history_.metrics.end()) {
    if (history_.metrics.size() == kMaxSeries) return;
    found = history_.metrics.insert(history_.metrics.end(), Series{name, {}, {}});
  }
  Series& series = *found;
  if (series.lines++ % series.lines_a_value != 0) return;
  if (series.values.size() == most_values_) {
    keep_every_second(series.steps);
    keep_every_second(series.values);
    series.lines_a_value *= 2;
  }
  series.steps.push_back(static_cast<double>(history_.step));
  series.values.push_back(value);
}

void MetricsReader::take(std::string_view line) {
  const JsonTree tree = object_in(line);
  const Json& object = tree.value;
  const std::int64_t step = step_in(object);
  const std::string split = text_at(object, "split");
  if (step >= 0 && split == kEventSplit) return add_event(history_, step, object);
  if (step >= 0 && split != "train") return;
  if (step <= last_step_) {
    ++history_.unreadable_lines;
    return;
  }
  history_.step = last_step_ = step;
  for (const auto& [name, value] : object.items()) {
    if (name == "step" || name == "split") continue;
    add_value(name, value.is_number() ? value.get<double>() : std::nan(""));
  }
}

void take_start(std::string_view line, RunHistory& history) {
  const JsonTree tree = object_in(line);
  const Json& object = tree.value;
  if (step_in(object) < 0 || history.starts.size() == kMaxStarts) return;
  history.starts.push_back({.step = step_in(object),
                            .time = text_at(object, "time"),
                            .command = text_at(object, "command"),
                            .version = text_at(object, "version"),
                            .device = text_at(object, "device"),
                            .machine = text_at(object, "machine"),
                            .test_images = whole_in(object, "test_images")});
}

void take_code_count(std::string_view line, RunHistory& history) {
  std::int64_t count = 0;
  std::from_chars(line.data(), line.data() + line.size(), count);
  if (history.code_counts.size() < kMaxCodes)
    history.code_counts.push_back(std::clamp<std::int64_t>(count, 0, kMaxWhole));
}

void take_skipped(std::string_view line, RunHistory& history) {
  constexpr std::size_t kMostKept = 200;
  ++history.skipped_count;
  if (history.skipped.size() < kMostKept) history.skipped.emplace_back(line.substr(0, kMaxLine));
}

}  // namespace gesso
