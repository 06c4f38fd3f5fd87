#include "tools/bench_table.h"

#include <fmt/format.h>

#include <cstdio>
#include <vector>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "cuda/devices.h"

namespace gesso {
namespace {

std::string comparison_text(const std::optional<BenchComparison>& comparison) {
  if (!comparison) return fmt::format(" {:>9} {:>6} {:>8}", "-", "-", "-");
  return fmt::format(" {:>9.3f} {:>6.2f} {:>8.1e}", comparison->ms, comparison->ratio, comparison->difference);
}

nlohmann::json comparison_json(const std::optional<BenchComparison>& comparison) {
  if (!comparison) return nullptr;
  return {{"ms", comparison->ms},
          {"ms_median", comparison->ms_median},
          {"ratio", comparison->ratio},
          {"difference", comparison->difference}};
}

// A list in JSON of what `object` makes of each.
template <class Json, class T, class Object>
Json list_of(const std::vector<T>& all, Object object) {
  Json list = Json::array();
  for (const T& one : all) list.push_back(object(one));
  return list;
}

nlohmann::json row_json(const BenchRow& row) {
  nlohmann::json json = {{"name", row.name},           {"shape", row.shape},   {"pass", row.pass}, {"ms", row.ms},
                         {"ms_median", row.ms_median}, {"gflops", row.gflops}, {"gbps", row.gbps}, {"share", nullptr}};
  if (row.share) json["share"] = *row.share;
  if (row.times) json["times"] = *row.times;
  if (!row.launches) return json;
  json["launches"] = *row.launches;
  if (has_vendor()) json["vendor"] = {{"fp32", comparison_json(row.fp32)}, {"tf32", comparison_json(row.tf32)}};
  return json;
}

// Where the time of a step goes; the rest of it is outside of ops.
void print_step_ops(const StepBench& bench) {
  fmt::print("{:<18} {:<9} {:>6} {:>9} {:>8} {:>9} {:>6}\n", "op", "pass", "calls", "ms", "of step", "floor ms",
             "times");
  constexpr double kTellable = 0.01;  // ms: what is shorter is a call's own cost
  const auto line = [&](const StepOp& op) {
    fmt::print("{:<18} {:<9} {:>6} {:>9.3f} {:>6.1f} % {:>9.3f} {:>6}\n", op.name, op.pass, op.calls, op.ms,
               100 * op.ms / bench.ms_median, op.floor_ms,
               op.floor_ms < kTellable ? "-" : fmt::format("{:.2f}", op.ms / op.floor_ms));
  };
  StepOp all{.name = "all ops"};
  for (const StepOp& op : by_name(bench.ops)) {
    line(op);
    all.calls += op.calls;
    all.ms += op.ms;
    all.floor_ms += op.floor_ms;
  }
  line(all);
}

}  // namespace

void print_header(DeviceKind device, bool of_suite) {
  fmt::print("{:<18} {:<28.28} {:<15} {:>9} {:>9} {:>9} {:>8} {:>8}", "op", "shape", "pass", "ms", "median", "GFLOP/s",
             "GB/s", "share");
  if (of_suite) fmt::print(" {:>6}", "times");
  if (device != DeviceKind::cpu) {
    fmt::print(" {:>8}", "launches");
    if (has_vendor())
      fmt::print(" {:>9} {:>6} {:>8} {:>9} {:>6} {:>8}", "fp32 ms", "ratio", "differs", "TF32 ms", "ratio", "differs");
  }
  fmt::print("\n");
}

void print_row(const BenchRow& row) {
  fmt::print("{:<18} {:<28.28} {:<15} {:>9.3f} {:>9.3f} {:>9.1f} {:>8.1f} {:>8}", row.name, row.shape, row.pass, row.ms,
             row.ms_median, row.gflops, row.gbps, row.share ? fmt::format("{:.0f} %", 100 * *row.share) : "-");
  if (row.times) fmt::print(" {:>6}", *row.times);
  if (row.launches) {
    fmt::print(" {:>8}", *row.launches);
    if (has_vendor()) fmt::print("{}{}", comparison_text(row.fp32), comparison_text(row.tf32));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void print_sums(const Bench& bench) {
  fmt::print("sums, each call as often as said:\n");
  for (const BenchSum& sum : bench.sums)
    fmt::print("{:<47} {:<15} {:>9.3f} {:>9.3f} {:>9.1f} {:>8} {:>8}\n", sum.ops, sum.pass, sum.ms, sum.ms_median,
               sum.gflops, "", sum.share ? fmt::format("{:.0f} %", 100 * *sum.share) : "-");
}

void print_ceilings(const Bench& bench) {
  if (bench.device == DeviceKind::emulated)
    return fmt::print("no ceilings: what the emulated device needs says nothing of a GPU\n");
  fmt::print("ceilings of this run: {:.1f} GFLOP/s in a loop of multiply-adds, {:.1f} GB/s in a copy ({})\n",
             bench.ceilings.gflops, bench.ceilings.gbps,
             bench.device == DeviceKind::cpu ? fmt::format("{}, {} threads", name_of(isa()), thread_pool().threads())
                                             : "calls replayed as a graph, caches warm");
}

nlohmann::json json_of(const Bench& bench) {
  const nlohmann::json rows = list_of<nlohmann::json>(bench.rows, row_json);
  const nlohmann::json sums = list_of<nlohmann::json>(bench.sums, [](const BenchSum& sum) {
    return nlohmann::json{{"ops", sum.ops},       {"pass", sum.pass},
                          {"ms", sum.ms},         {"ms_median", sum.ms_median},
                          {"gflops", sum.gflops}, {"share", sum.share ? nlohmann::json(*sum.share) : nlohmann::json()}};
  });
  nlohmann::json ceilings;  // null where there are none
  if (bench.ceilings.gflops > 0) ceilings = {{"gflops", bench.ceilings.gflops}, {"gbps", bench.ceilings.gbps}};
  nlohmann::json json = {{"rows", rows},
                         {"ceilings", ceilings},
                         {"device", name_of(bench.device)},
                         {"isa", name_of(isa())},
                         {"threads", thread_pool().threads()}};
  if (!bench.sums.empty()) json["sums"] = sums;
  return json;
}

void print_step(const StepBench& bench) {
  constexpr double kMib = 1 << 20;
  fmt::print("{:<14} {:.3f} ms, median {:.3f} of {} steps\n", "step", bench.ms_min, bench.ms_median, bench.steps);
  fmt::print("{:<14} {:.1f}\n", "images a second", bench.images_per_s);
  fmt::print("{:<14} {:.1f} MiB at the most, {:.1f} MiB predicted; {:.1f} MiB with all of the process\n", "memory",
             static_cast<double>(bench.peak_bytes) / kMib, static_cast<double>(bench.predicted_peak_bytes) / kMib,
             static_cast<double>(bench.peak_rss_bytes) / kMib);
  fmt::print("{:<14} {:.2f} allocations and {:.2f} page faults a step\n", "fresh memory", bench.allocations,
             bench.page_faults);
  fmt::print("{:<14} {:.3f} GFLOP", "work", bench.gflop);
  if (bench.share_of_peak)
    fmt::print(": {:.1f} % of {:.1f} GFLOP/s in a loop of multiply-adds", 100 * *bench.share_of_peak,
               bench.peak_gflops);
  fmt::print("\n");
  if (!bench.ops.empty()) print_step_ops(bench);
}

nlohmann::ordered_json json_of(const StepBench& bench) {
  nlohmann::ordered_json share;  // null where the device's peak is not known
  if (bench.share_of_peak) share = *bench.share_of_peak;
  const auto ops = list_of<nlohmann::ordered_json>(bench.ops, [](const StepOp& op) {
    return nlohmann::ordered_json{{"name", op.name},   {"pass", op.pass},    {"operands", op.operands},
                                  {"calls", op.calls}, {"ms", op.ms},        {"floor_ms", op.floor_ms},
                                  {"gflop", op.gflop}, {"gbytes", op.gbytes}};
  });
  return {{"ms", {{"min", bench.ms_min}, {"median", bench.ms_median}}},
          {"images_per_s", bench.images_per_s},
          {"peak_bytes", bench.peak_bytes},
          {"predicted_peak_bytes", bench.predicted_peak_bytes},
          {"peak_rss_bytes", bench.peak_rss_bytes},
          {"allocations", bench.allocations},
          {"page_faults", bench.page_faults},
          {"share_of_peak", share},
          {"peak_gflops", bench.peak_gflops},
          {"gflop", bench.gflop},
          {"steps", bench.steps},
          {"device", bench.device},
          {"isa", name_of(isa())},
          {"threads", thread_pool().threads()},
          {"conv_algorithm", bench.conv_algorithm},
          {"ops", ops}};
}

}  // namespace gesso
