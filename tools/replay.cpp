// gesso replay: the step that stopped a run, made again.
#include "train/replay.h"

#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/verbs.h"
#include "train/text.h"

namespace gesso {
namespace {

struct ReplayOptions {
  std::string run, dump, device;
  bool ops = false, json = false;
};

std::string text_of(const ResultStatistics& result) {
  const std::string values = result.low > result.high ? "none is finite"
                                                      : fmt::format(
                                                            "[{:.4g}, {:.4g}], mean {:.4g}, root mean square "
                                                            "{:.4g}",
                                                            result.low, result.high, result.mean, result.root);
  return fmt::format("{} {}: {}{}", result.where(), result.spec.text(), values,
                     result.bad == 0 ? "" : fmt::format(", {} not finite", result.bad));
}

nlohmann::ordered_json json_of(const ResultStatistics& result) {
  return {{"op", result.op},
          {"module", result.module},
          {"pass", result.pass == OpPass::forward ? "forward" : "backward"},
          {"spec", result.spec.text()},
          {"not_finite", result.bad},
          {"low", result.low},
          {"high", result.high},
          {"mean", result.mean},
          {"root_mean_square", result.root}};
}

std::string made_by(const StepRecord& record) {
  return fmt::format("{} ({}), gesso {}", escaped(record.device), escaped(record.isa), escaped(record.version));
}

// What became of it, in a sentence.
std::string verdict(const Replay& replay) {
  const bool same_values_now = same_values(replay.before, replay.now);
  if (!same_finding(replay.before, replay.now))
    return fmt::format("not reproduced: it was '{}'{}", name_of(replay.before.decision.verdict),
                       replay.before.first_bad.empty() ? "" : ", first in " + escaped(replay.before.first_bad));
  if (same_values_now) return "reproduced: the same finding, and all values have the same bits";
  return fmt::format("reproduced: the same finding, with other bits (it was made on {})", made_by(replay.before));
}

void print_replay(const Replay& replay) {
  fmt::print("dump      {}\n", replay.directory.string());
  fmt::print("made on   {}\n", made_by(replay.before));
  fmt::print("now       {}\n", replay.now.what());
  for (const Metric& value : replay.now.values) fmt::print("          {} {:.9g}\n", value.name, value.value);
  fmt::print("verdict   {}\n", verdict(replay));
}

nlohmann::ordered_json json_of(const Replay& replay) {
  nlohmann::ordered_json object = {{"dump", replay.directory.string()},
                                   {"step", replay.now.step},
                                   {"reproduced", same_finding(replay.before, replay.now)},
                                   {"same_bits", same_values(replay.before, replay.now)},
                                   {"verdict", name_of(replay.now.decision.verdict)},
                                   {"first_bad", replay.now.first_bad}};
  object["values"] = nlohmann::ordered_json::parse(gesso::text_of(replay.now)).at("values");
  return object;
}

void run_replay(const ReplayOptions& options, Outcome& outcome) {
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  ReplayRequest request{.run = options.run, .dump = options.dump, .device = options.device};
  if (options.ops)
    request.tell = [&](const ResultStatistics& result) {
      if (options.json)
        results.push_back(json_of(result));
      else
        fmt::print("{}\n", text_of(result));
    };
  const Replay replay = replay_step(request);
  outcome.exit_code = same_finding(replay.before, replay.now) ? static_cast<int>(ErrorKind::numeric) : kChecksFailed;
  if (!options.json) return print_replay(replay);
  nlohmann::ordered_json object = json_of(replay);
  if (options.ops) object["results"] = std::move(results);
  print_json(object);
}

}  // namespace

void add_replay(Verb program, Outcome& outcome) {
  Verb verb = program.add_verb("replay", "Makes the step again that stopped a run with exit code 4");
  auto options = std::make_shared<ReplayOptions>();
  verb.add("run", options->run, "Run directory").required();
  verb.add("--dump", options->dump, "Which step: a name in RUN/dumps; default: the newest");
  verb.add("--ops", options->ops, "List each result of each op, with range, mean and what is not finite");
  verb.add("--device", options->device, "cpu, cuda, emulated or reference; default: where the step was made");
  verb.add("--json", options->json, "Last line of standard output: one JSON object");
  verb.footer(
      "Example: gesso replay runs/first\n"
      "         gesso replay runs/first --dump step-00000813 --ops\n"
      "Ends with exit code 4 where the step goes wrong again as it did, and with 1 where it does not.");
  verb.runs([options, &outcome] { run_replay(*options, outcome); });
}

}  // namespace gesso
