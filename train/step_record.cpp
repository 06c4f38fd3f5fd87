#include "train/step_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "train/json_flatten.h"
#include "train/json_text.h"
#include "train/text.h"

namespace gesso {
namespace {

using Json = nlohmann::json;
using Leaves = std::vector<std::pair<std::string, JsonTree>>;
using ops::StepVerdict;

constexpr std::array<std::string_view, 5> kVerdicts = {"passed", "spike", "skipped", "too many spikes", "not finite"};

// Values come from the device as floats.
std::uint32_t bits_of(double value) { return std::bit_cast<std::uint32_t>(static_cast<float>(value)); }

// Of what is no number.
double without_sign(double value) { return std::isnan(value) ? std::abs(value) : value; }

std::string listed(const std::vector<std::int64_t>& samples) {
  constexpr std::size_t kShown = 16;
  const auto shown = std::span(samples).first(std::min(kShown, samples.size()));
  const std::string more = shown.size() < samples.size() ? fmt::format(" and {} more", samples.size() - kShown) : "";
  return fmt::format("samples {}{}", fmt::join(shown, " "), more);
}

double value_of(const std::string& bits) {
  std::uint32_t word = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), word, 16);
  if (error != std::errc() || end != bits.data() + bits.size())
    fail(ErrorKind::data, "{} are no bits of a float", in_quotes(bits));
  return static_cast<double>(std::bit_cast<float>(word));
}

const Json& at(const Leaves& leaves, std::string_view key) {
  const auto found = std::ranges::find(leaves, key, &Leaves::value_type::first);
  if (found == leaves.end()) fail(ErrorKind::data, "it has no {}", key);
  return found->second.value;
}
template <class T>
T get(const Leaves& leaves, std::string_view key) {
  return at(leaves, key).get<T>();
}

StepRecord record_of(const Leaves& leaves) {
  StepRecord record{.step = whole_of<std::int64_t>(at(leaves, "step"), "its step")};
  const auto verdict = std::ranges::find(kVerdicts, get<std::string>(leaves, "verdict"));
  if (verdict == kVerdicts.end()) fail(ErrorKind::data, "its verdict is none that gesso knows");
  record.decision = {.verdict = static_cast<StepVerdict>(verdict - kVerdicts.begin()),
                     .steps_known = whole_of<std::int64_t>(at(leaves, "steps_known"), "its steps_known"),
                     .loss_limit = get<double>(leaves, "loss_limit"),
                     .norm_limit = get<double>(leaves, "grad_norm_limit")};
  constexpr std::string_view kBefore = "values.", kBehind = ".bits";  // around a name; the loss comes first
  for (const auto& [key, leaf] : leaves)
    if (key.starts_with(kBefore) && key.ends_with(kBehind) && key.size() > kBefore.size() + kBehind.size())
      record.values.push_back({key.substr(kBefore.size(), key.size() - kBefore.size() - kBehind.size()),
                               value_of(leaf.value.get<std::string>())});
  for (const Json& sample : at(leaves, "samples").get_ref<const Json::array_t&>())
    record.samples.push_back(whole_of<std::int64_t>(sample, "one of its samples"));
  record.first_bad = get<std::string>(leaves, "first_bad");
  record.complaint = get<std::string>(leaves, "complaint");
  record.device = get<std::string>(leaves, "device");
  record.isa = get<std::string>(leaves, "isa");
  record.version = get<std::string>(leaves, "version");
  if (record.step < 1 || record.values.empty()) fail(ErrorKind::data, "it has no step, or no loss");
  return record;
}

}  // namespace

std::string_view name_of(StepVerdict verdict) { return kVerdicts.at(static_cast<std::size_t>(verdict)); }

std::string StepRecord::what() const {
  const std::string values_text =
      fmt::format("step {}: loss {:.6g}, gradient norm {:.6g}", step, without_sign(loss()), without_sign(norm()));
  const std::string spike = fmt::format("{}: a spike (after the {} steps before, the limits are {:.4g} and {:.4g})",
                                        values_text, decision.steps_known, decision.loss_limit, decision.norm_limit);
  switch (decision.verdict) {
    case StepVerdict::passed:
      return values_text;
    case StepVerdict::spike:
      return fmt::format("{}, let through; {}", spike, listed(samples));
    case StepVerdict::skipped:
      return fmt::format("{}, skipped: it changes nothing; {}", spike, listed(samples));
    case StepVerdict::too_many:
      return fmt::format("{}, and no more may be skipped; {}", spike, listed(samples));
    case StepVerdict::not_finite:
      break;
  }
  const std::string found = first_bad.empty() ? "made again, all of it was finite; is memory or processor faulty?"
                                              : "the first was " + complaint;
  return fmt::format("{}: not all of it is finite; {}; {}", values_text, found, listed(samples));
}

std::string text_of(const StepRecord& record) {
  JsonObjectText values, object;
  for (const Metric& metric : record.values) {
    JsonObjectText value;
    value.add("value", fmt::format("{}", static_cast<float>(metric.value)));
    value.add("bits", fmt::format("{:08x}", bits_of(metric.value)));
    values.add_json(metric.name, value.in_one_line());
  }
  object.add("step", record.step);
  object.add("verdict", name_of(record.decision.verdict));
  object.add("steps_known", record.decision.steps_known);
  object.add("loss_limit", record.decision.loss_limit);
  object.add("grad_norm_limit", record.decision.norm_limit);
  object.add_json("values", values.in_one_line());
  object.add_json("samples", fmt::format("[{}]", fmt::join(record.samples, ",")));
  object.add("first_bad", record.first_bad);
  object.add("complaint", record.complaint);
  object.add("device", record.device);
  object.add("isa", record.isa);
  object.add("version", record.version);
  return object.in_lines() + '\n';
}

StepRecord parse_step_record(std::string_view text) {
  constexpr std::size_t kMaxDepth = 3;
  try {
    return record_of(flatten_json(text, "the record", ErrorKind::data, JsonComments::refused, kMaxDepth));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::data, "it cannot be read: {}", in_quotes(error.what()));
  }
}

bool same_finding(const StepRecord& a, const StepRecord& b) {
  return a.decision.verdict == b.decision.verdict && a.first_bad == b.first_bad;
}

bool same_values(const StepRecord& a, const StepRecord& b) {
  return std::ranges::equal(a.values, b.values, [](const Metric& x, const Metric& y) {
    return x.name == y.name && (bits_of(x.value) == bits_of(y.value) || (std::isnan(x.value) && std::isnan(y.value)));
  });
}

}  // namespace gesso
