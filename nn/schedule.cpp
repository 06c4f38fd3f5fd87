#include "nn/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace gesso::nn {
namespace {
constexpr std::array<std::string_view, 4> kNames = {"constant", "cosine", "linear", "step"};
}

double Schedule::at(std::int64_t step) const {
  if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
  const auto since = static_cast<double>(step - warmup);
  const auto length = static_cast<double>(std::max<std::int64_t>(horizon - warmup, 1));
  const double progress = std::min(since / length, 1.0);
  switch (kind) {
    case ScheduleKind::cosine:
      return final_rate + (rate - final_rate) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case ScheduleKind::linear:
      return rate + (final_rate - rate) * progress;
    case ScheduleKind::step:
      return rate * std::pow(factor, static_cast<double>((step - warmup) / every));
    case ScheduleKind::constant:
      break;
  }
  return rate;
}

void Schedule::validate() const {
  if (!(rate > 0) || !std::isfinite(rate)) fail("schedule.rate must be positive, but is {}", rate);
  if (warmup < 0) fail("schedule.warmup must not be negative, but is {}", warmup);
  if (!(final_rate >= 0 && final_rate <= rate))
    fail("schedule.final_rate must lie between 0 and schedule.rate {}, but is {}", rate, final_rate);
  const bool has_horizon = kind == ScheduleKind::cosine || kind == ScheduleKind::linear;
  if (has_horizon && horizon <= warmup) fail("schedule.horizon {} must lie behind schedule.warmup {}", horizon, warmup);
  if (kind == ScheduleKind::step && (every < 1 || !(factor > 0)))
    fail("schedule.every must be at least 1 and schedule.factor positive, but are {} and {}", every, factor);
}

std::string_view name_of(ScheduleKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

ScheduleKind schedule_kind(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) fail("unknown schedule '{}'; known are {}", name, fmt::join(kNames, ", "));
  return static_cast<ScheduleKind>(found - kNames.begin());
}

}  // namespace gesso::nn
