#include "train/step_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "train/text.h"

namespace gesso {
namespace {

using Json = nlohmann::ordered_json;
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

StepRecord record_of(const Json& object) {
  StepRecord record{.step = object.at("step").get<std::int64_t>()};
  const auto verdict = std::ranges::find(kVerdicts, object.at("verdict").get<std::string>());
  if (verdict == kVerdicts.end()) fail(ErrorKind::data, "its verdict is none that gesso knows");
  record.decision = {.verdict = static_cast<StepVerdict>(verdict - kVerdicts.begin()),
                     .steps_known = object.at("steps_known").get<std::int64_t>(),
                     .loss_limit = object.at("loss_limit").get<double>(),
                     .norm_limit = object.at("grad_norm_limit").get<double>()};
  for (const auto& [name, value] : object.at("values").items())
    record.values.push_back({name, value_of(value.at("bits").get<std::string>())});
  record.samples = object.at("samples").get<std::vector<std::int64_t>>();
  record.first_bad = object.at("first_bad").get<std::string>();
  record.complaint = object.at("complaint").get<std::string>();
  record.device = object.at("device").get<std::string>();
  record.isa = object.at("isa").get<std::string>();
  record.version = object.at("version").get<std::string>();
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
  Json values = Json::object();
  for (const Metric& value : record.values)
    values[value.name] = {{"value", fmt::format("{}", static_cast<float>(value.value))},
                          {"bits", fmt::format("{:08x}", bits_of(value.value))}};
  const Json object = {{"step", record.step},
                       {"verdict", name_of(record.decision.verdict)},
                       {"steps_known", record.decision.steps_known},
                       {"loss_limit", record.decision.loss_limit},
                       {"grad_norm_limit", record.decision.norm_limit},
                       {"values", values},
                       {"samples", record.samples},
                       {"first_bad", record.first_bad},
                       {"complaint", record.complaint},
                       {"device", record.device},
                       {"isa", record.isa},
                       {"version", record.version}};
  return object.dump(2) + '\n';
}

StepRecord parse_step_record(std::string_view text) {
  try {
    return record_of(Json::parse(text));
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
