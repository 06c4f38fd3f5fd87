// gesso bench: how fast, against what this machine can do.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "cuda/devices.h"
#include "tools/bench_ops.h"
#include "tools/bench_step.h"
#include "tools/bench_suites.h"
#include "tools/bench_table.h"
#include "tools/verbs.h"
#include "train/files.h"

namespace gesso {
namespace {

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
  add_json_option(step, options->json);
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
    print_step(bench);
    if (options->json) print_json(json_of(bench));
  });
}

void add_ops(Verb verb) {
  Verb ops = verb.add_verb("ops", "Times the rows of the op table, or the products of a known network's training step");
  struct Options {
    std::string filter, suite, device = "cpu";
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  ops.add("--filter", options->filter, "Only ops whose name holds this");
  ops.add("--suite", options->suite,
          "vqvae-28, unet-64 or ddpm-cifar10: all shapes of convolutions and matrix products of a training step, and "
          "their sums over the step; winograd, strided or thin: kinds of convolutions");
  add_device_option(ops, options->device);
  add_json_option(ops, options->json);
  ops.footer("Example: gesso bench ops --filter conv2d");
  ops.runs([options] {
    const DeviceKind kind = device_kind(options->device);
    const bool of_suite = !options->suite.empty();
    bool begun = false;  // the table: what is refused begins none
    const RowTold tell_row = [&](const BenchRow& row) {
      if (!std::exchange(begun, true)) print_header(kind, of_suite);
      print_row(row);
    };
    const Bench bench = of_suite ? bench_suite(suite_named(options->suite), options->filter, kind, tell_row)
                                 : bench_ops(options->filter, kind, tell_row);
    if (of_suite) print_sums(bench);
    print_ceilings(bench);
    if (options->json) print_json(json_of(bench));
  });
}

void add_emulator(Verb verb) {
  Verb emulator = verb.add_verb("emulator", "Times what the emulated device needs for what kernels do");
  auto json = std::make_shared<bool>(false);
  add_json_option(emulator, *json);
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
