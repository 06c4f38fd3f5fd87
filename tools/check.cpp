// gesso check: runs the op table.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cuda/devices.h"
#include "ops/check/checks.h"
#include "ops/check/mutate.h"
#include "ops/check/on_device.h"
#include "ops/check/page.h"
#include "ops/op_list.h"
#include "tools/verbs.h"

namespace gesso {
namespace {

struct CheckVerb {
  std::vector<std::string> names;
  check::Options options;
  std::string device = "cpu";
  bool mutate = false, markdown = false, json = false, small = false;

  std::vector<const RowInfo*> rows() const {
    if (names.empty()) return {all_rows().begin(), all_rows().end()};
    std::vector<const RowInfo*> rows;
    for (const std::string& name : names) rows.push_back(&row_named(name));
    return rows;
  }
};

void print_report(const check::Report& report, std::uint64_t seed) {
  for (const std::string& failure : report.failures) fmt::print(stderr, "FAILED {}\n", failure);
  for (const auto& [kind, count] : report.by_kind)
    fmt::print("{:<20} {:>8} checks, {} failed\n", kind, count.checks, count.failed);
  fmt::print("{} ops, {} cases, {} checks, {} failed (seed {})\n", report.ops, report.cases, report.checks,
             report.failed, seed);
}
nlohmann::ordered_json json_of(const check::Report& report, std::uint64_t seed) {
  return {{"ops", report.ops},
          {"cases", report.cases},
          {"checks", report.checks},
          {"failed", report.failed},
          {"seed", seed}};
}

int run_checks(const CheckVerb& verb) {
  const check::Report report = check::check_rows(verb.rows(), verb.options);
  print_report(report, verb.options.seed);
  if (verb.json) print_json(json_of(report, verb.options.seed));
  return report.failed == 0 ? kDone : kChecksFailed;
}

int run_checks_on(const CheckVerb& verb, DeviceKind kind) {
  check::DeviceUnderCheck device = device_under_check(kind);
  if (verb.small) device.keep_small_cases();
  const check::DeviceReport all = check::check_rows_on(verb.rows(), verb.options, device);
  if (all.skipped) fmt::print("{} cases are too large for this device and were left out\n", all.skipped);
  if (!all.missing.empty()) fmt::print("no kernel on {} yet: {}\n", name_of(kind), fmt::join(all.missing, ", "));
  print_report(all.report, verb.options.seed);
  if (verb.json) {
    nlohmann::ordered_json object = json_of(all.report, verb.options.seed);
    object["device"] = name_of(kind);
    object["skipped"] = all.skipped;
    object["missing"] = all.missing;
    print_json(object);
  }
  return all.report.failed == 0 ? kDone : kChecksFailed;
}

int run_mutations(const CheckVerb& verb) {
  const check::MutationReport report = check::mutate_rows(verb.rows(), verb.options);
  for (const std::string& missed : report.missed) fmt::print(stderr, "MISSED {}\n", missed);
  fmt::print("{} faults planted, {} caught (seed {})\n", report.planted, report.caught, verb.options.seed);
  if (verb.json) print_json({{"planted", report.planted}, {"caught", report.caught}, {"seed", verb.options.seed}});
  return report.caught == report.planted ? kDone : kChecksFailed;
}

int print_page(const CheckVerb& verb) {
  fmt::print("{}", check::markdown_page(verb.rows()));
  return kDone;
}

int run(const CheckVerb& verb) {
  const DeviceKind kind = device_kind(verb.device);
  if (kind == DeviceKind::reference) fail("check: the reference is what devices are held against; name another");
  if (kind != DeviceKind::cpu) {
    if (verb.mutate || verb.markdown) fail("check: --mutate and --markdown do not go with --device {}", verb.device);
    return run_checks_on(verb, kind);
  }
  if (verb.small) fail("check: --small goes with --device cuda or emulated");
  return verb.markdown ? print_page(verb) : verb.mutate ? run_mutations(verb) : run_checks(verb);
}

}  // namespace

void add_check(Verb program, Outcome& outcome) {
  auto verb = std::make_shared<CheckVerb>();
  Verb sub = program.add_verb("check", "Checks every operation: gradients, kernels, threads, bad operands");
  sub.add("--op", verb->names, "Only these operations; default: all");
  sub.add("--seed", verb->options.seed, "Seed of the operands' values and of the random cases").shows_default();
  sub.add("--cases", verb->options.random_cases, "Random cases an operation, beside its samples")
      .between(0, 1000000)
      .shows_default();
  add_device_option(sub, verb->device);
  sub.add("--small", verb->small, "With --device: only small cases, for tools that slow kernels down");
  const VerbOption mutate =
      sub.add("--mutate", verb->mutate, "Plant faults in every result instead, and see that each is caught");
  const VerbOption json = add_json_option(sub, verb->json);
  sub.add("--markdown", verb->markdown, "Print what the operations are instead: docs/ops.md")
      .excludes(mutate)
      .excludes(json);
  sub.footer(
      "Example: gesso check --op relu silu --seed 7\n         gesso check --mutate\n         gesso check --device "
      "emulated\nExit code 1 where a check failed or a fault was missed.");
  sub.runs([verb, &outcome] { outcome.exit_code = run(*verb); });
}

}  // namespace gesso
