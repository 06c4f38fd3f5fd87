#include "tools/bench_table.h"

#include <fmt/format.h>

#include <cstdio>

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

nlohmann::json row_json(const BenchRow& row) {
  nlohmann::json json = {{"name", row.name},           {"shape", row.shape},   {"pass", row.pass}, {"ms", row.ms},
                         {"ms_median", row.ms_median}, {"gflops", row.gflops}, {"gbps", row.gbps}, {"share", nullptr}};
  if (row.share) json["share"] = *row.share;
  if (!row.launches) return json;
  json["launches"] = *row.launches;
  if (has_vendor()) json["vendor"] = {{"fp32", comparison_json(row.fp32)}, {"tf32", comparison_json(row.tf32)}};
  return json;
}

}  // namespace

void print_header(DeviceKind device) {
  fmt::print("{:<18} {:<28.28} {:<10} {:>9} {:>9} {:>9} {:>8} {:>8}", "op", "shape", "pass", "ms", "median", "GFLOP/s",
             "GB/s", "share");
  if (device != DeviceKind::cpu) {
    fmt::print(" {:>8}", "launches");
    if (has_vendor())
      fmt::print(" {:>9} {:>6} {:>8} {:>9} {:>6} {:>8}", "fp32 ms", "ratio", "differs", "TF32 ms", "ratio", "differs");
  }
  fmt::print("\n");
}

void print_row(const BenchRow& row) {
  fmt::print("{:<18} {:<28.28} {:<10} {:>9.3f} {:>9.3f} {:>9.1f} {:>8.1f} {:>8}", row.name, row.shape, row.pass, row.ms,
             row.ms_median, row.gflops, row.gbps, row.share ? fmt::format("{:.0f} %", 100 * *row.share) : "-");
  if (row.launches) {
    fmt::print(" {:>8}", *row.launches);
    if (has_vendor()) fmt::print("{}{}", comparison_text(row.fp32), comparison_text(row.tf32));
  }
  fmt::print("\n");
  std::fflush(stdout);
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
  nlohmann::json rows = nlohmann::json::array();
  for (const BenchRow& row : bench.rows) rows.push_back(row_json(row));
  nlohmann::json ceilings;  // null where there are none
  if (bench.ceilings.gflops > 0) ceilings = {{"gflops", bench.ceilings.gflops}, {"gbps", bench.ceilings.gbps}};
  return {{"rows", rows},
          {"ceilings", ceilings},
          {"device", name_of(bench.device)},
          {"isa", name_of(isa())},
          {"threads", thread_pool().threads()}};
}

}  // namespace gesso
