// gesso bench: how fast, against what this machine can do.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "cuda/devices.h"
#include "tools/bench_ops.h"
#include "tools/bench_step.h"
#include "tools/bench_table.h"
#include "tools/verbs.h"
#include "train/files.h"

namespace gesso {
namespace {

void print(const StepBench& bench) {
  fmt::print("{:<14} {:.3f} ms, median {:.3f} of {} steps\n", "step", bench.ms_min, bench.ms_median, bench.steps);
  fmt::print("{:<14} {:.1f}\n", "images a second", bench.images_per_s);
  fmt::print("{:<14} {:.1f} MiB at the most\n", "memory", static_cast<double>(bench.peak_bytes) / (1 << 20));
  fmt::print("{:<14} {:.3f} GFLOP", "work", bench.gflop);
  if (bench.share_of_peak)
    fmt::print(": {:.1f} % of {:.1f} GFLOP/s in a loop of multiply-adds", 100 * *bench.share_of_peak,
               bench.peak_gflops);
  fmt::print("\n");
}

nlohmann::ordered_json to_json(const StepBench& bench) {
  nlohmann::ordered_json share;  // null where the device's peak is not known
  if (bench.share_of_peak) share = *bench.share_of_peak;
  return {{"ms", {{"min", bench.ms_min}, {"median", bench.ms_median}}},
          {"images_per_s", bench.images_per_s},
          {"peak_bytes", bench.peak_bytes},
          {"share_of_peak", share},
          {"gflop", bench.gflop},
          {"steps", bench.steps},
          {"device", bench.device},
          {"isa", name_of(isa())},
          {"threads", thread_pool().threads()}};
}

void add_step(Verb verb) {
  Verb step = verb.add_verb("step", "Times a recipe's training step");
  struct Options {
    StepBenchRequest request;
    std::string data, device = "cpu", trace;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  step.add("recipe", options->request.recipe, "Name of a recipe, or a JSON file").required();
  step.add("assignments", options->request.assignments, "key.path=value: overrides a key of the recipe");
  step.add("--data", options->data, "Where the data are (data.path)");
  add_device_option(step, options->device);
  step.add("--trace", options->trace, "First write one step, op by op, for Perfetto into this file");
  step.add("--json", options->json, "Print one JSON object as the last line");
  step.footer("Example: gesso bench step vqvae-shapes train.batch=32");
  step.runs([options] {
    if (!options->data.empty()) options->request.assignments.push_back("data.path=" + options->data);
    Device& chosen = device(device_kind(options->device));
    if (!options->trace.empty()) {
      const StepTrace trace = trace_step(options->request, chosen);
      fmt::print("{}\n", trace.table);
      write_file_atomically(options->trace, trace.chrome_json);
    }
    const StepBench bench = bench_step(options->request, chosen);
    print(bench);
    if (options->json) print_json(to_json(bench));
  });
}

void add_ops(Verb verb) {
  Verb ops = verb.add_verb("ops", "Times the rows of the op table");
  auto filter = std::make_shared<std::string>(), device = std::make_shared<std::string>("cpu");
  auto json = std::make_shared<bool>(false);
  ops.add("--filter", *filter, "Only ops whose name holds this");
  add_device_option(ops, *device);
  ops.add("--json", *json, "Print one JSON object as the last line");
  ops.footer("Example: gesso bench ops --filter conv2d");
  ops.runs([filter, device, json] {
    const DeviceKind kind = device_kind(*device);
    print_header(kind);
    const Bench bench = bench_ops(*filter, kind, print_row);
    print_ceilings(bench);
    if (*json) print_json(json_of(bench));
  });
}

void add_emulator(Verb verb) {
  Verb emulator = verb.add_verb("emulator", "Times what the emulated device needs for what kernels do");
  auto json = std::make_shared<bool>(false);
  emulator.add("--json", *json, "Print one JSON object as the last line");
  emulator.footer("Example: gesso bench emulator");
  emulator.runs([json] {
    nlohmann::json rows = nlohmann::json::array();
    for (const EmulationCost& cost : emulation_costs()) {
      fmt::print("{:<22} {:>10.1f} ns a {}\n", cost.what, cost.ns, cost.per);
      rows.push_back({{"name", cost.what}, {"ns", cost.ns}, {"per", cost.per}});
    }
    if (*json) print_json({{"rows", rows}});
  });
}

}  // namespace

void add_bench(Verb program, Outcome&) {
  Verb verb = program.add_verb("bench", "Times gesso against what this machine can do");
  verb.require_verb();
  add_ops(verb);
  add_step(verb);
  add_emulator(verb);
}

}  // namespace gesso
