#include "tools/bench_step_ops.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>

#include "core/error.h"

namespace gesso {
namespace {

std::vector<std::vector<ProfileEvent>> ops_alone(std::span<const std::vector<ProfileEvent>> steps) {
  std::vector<std::vector<ProfileEvent>> ops(steps.begin(), steps.end());
  for (std::vector<ProfileEvent>& step : ops) {
    std::erase_if(step, [](const ProfileEvent& event) { return event.kind != RangeKind::op; });
    if (step.size() != ops.front().size())
      fail("bench step: one step had {} ops and another {}", ops.front().size(), step.size());
  }
  return ops;
}

double median_ms(const std::vector<std::vector<ProfileEvent>>& steps, std::size_t call) {
  std::vector<double> ms;
  for (const std::vector<ProfileEvent>& step : steps)
    ms.push_back(static_cast<double>(step[call].end_ns - step[call].begin_ns) * 1e-6);
  std::ranges::sort(ms);
  return ms[ms.size() / 2];
}

void add(StepOp& sum, const StepOp& op) {
  sum.calls += op.calls;
  sum.ms += op.ms;
  sum.gflop += op.gflop;
  sum.gbytes += op.gbytes;
  sum.floor_ms += op.floor_ms;
}

using Key = std::tuple<std::string, std::string, std::string>;  // name, pass, operands

std::vector<StepOp> sorted(std::map<Key, StepOp> sums) {
  std::vector<StepOp> ops;
  for (auto& [key, op] : sums) {
    std::tie(op.name, op.pass, op.operands) = key;
    ops.push_back(std::move(op));
  }
  std::ranges::stable_sort(ops, std::greater(), &StepOp::ms);
  return ops;
}

}  // namespace

double Floor::bandwidth(double bytes) {
  constexpr int kSamples = 7;
  const int power = std::ilogb(std::max(bytes, 1.0));
  double& best = bandwidth_[power];
  if (best > 0) return best;
  const CopyCeiling copy(bench_, device_, std::ldexp(1.5, power));
  for (int i = 0; i < kSamples; ++i) best = std::max(best, copy.sample());
  return best;
}

double Floor::seconds(double operations, double bytes) {
  return std::max(operations / flops_, bytes / bandwidth(bytes));
}

std::vector<StepOp> step_ops(std::span<const std::vector<ProfileEvent>> events, Floor& floor) {
  const std::vector<std::vector<ProfileEvent>> steps = ops_alone(events);
  std::map<Key, StepOp> sums;
  for (std::size_t call = 0; call < steps.front().size(); ++call) {
    const ProfileEvent& event = steps.front()[call];
    add(sums[{event.name, event.pass, event.operands}], {.calls = 1,
                                                         .ms = median_ms(steps, call),
                                                         .gflop = event.flops * 1e-9,
                                                         .gbytes = event.bytes * 1e-9,
                                                         .floor_ms = floor.seconds(event.flops, event.bytes) * 1e3});
  }
  return sorted(std::move(sums));
}

std::vector<StepOp> by_name(std::span<const StepOp> ops) {
  std::map<Key, StepOp> sums;
  for (const StepOp& op : ops) add(sums[{op.name, op.pass == "forward" ? "forward" : "backward", ""}], op);
  return sorted(std::move(sums));
}

}  // namespace gesso
