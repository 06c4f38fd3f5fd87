// gesso train: from a recipe to checkpoints and pictures.
#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/signals.h"
#include "tools/verbs.h"
#include "tools/version.h"
#include "train/report.h"
#include "train/run.h"
#include "train/standard_streams.h"
#include "train/text.h"
#include "train/trainer.h"

namespace gesso {
namespace {

struct TrainOptionsOfVerb {
  RunRequest request;
  std::string out, data, device = "cpu", log_format = "text";
  bool dry_run = false, json = false;
};

void print_plan(const std::vector<std::string>& plan, bool json) {
  if (json) return print_json({{"plan", plan}});
  for (const std::string& line : plan) fmt::print("{}\n", line);
}

// Where the page is; empty where it cannot be written, which is no failure of the training.
std::string written_report(const Path& run) {
  const Path page = run / kReportFile;
  try {
    write_report(std::span(&run, 1), page);
  } catch (const std::bad_alloc&) {
    tell("out of memory for report.html; the run lacks nothing but its page\n");
    return {};
  } catch (const std::exception& error) {
    tell(fmt::format("{}; the run lacks nothing but its page\n", error.what()));
    return {};
  }
  return page.string();
}

// page: of the report; empty where there is none.
std::string result_text(const Path& run, const RunSummary& summary, const std::string& page, bool json) {
  if (json) {
    nlohmann::ordered_json object = {{"run", run.string()}, {"step", summary.step}};
    object.update(json_of(summary.metrics));
    object["sample"] = summary.sample.string();
    object["checkpoint"] = summary.checkpoint.string();
    object["report"] = page;
    return json_line(object);
  }
  std::string text = fmt::format("run         {}\n", run.string());
  if (!summary.sample.empty()) text += fmt::format("pictures    {}\n", summary.sample.string());
  text += fmt::format("checkpoint  {}\n", summary.checkpoint.string());
  if (!page.empty()) text += fmt::format("report      {}\n", page);
  return text;
}

// A folder is easily given as a word of its own.
void check_words(const std::vector<std::string>& assignments) {
  std::error_code ignored;
  for (const std::string& word : assignments)
    if (word.find('=') == std::string::npos && std::filesystem::is_directory(word, ignored))
      fail("train: {} is a folder; give data with --data {} and the run's folder with --out", in_quotes(word),
           in_shell(word));
}

void run_train(TrainOptionsOfVerb& options, Outcome& outcome) {
  check_words(options.request.assignments);
  RunControls& controls = controls_by_signals();
  const DeviceKind kind = device_kind(options.device);
  (void)device(kind);  // an absent device is told before anything is written
  options.request.directory =
      options.out.empty() ? "runs/" + Path(options.request.recipe).stem().string() : options.out;
  if (!options.data.empty()) options.request.assignments.push_back("data.path=" + options.data);
  options.request.version = version();
  options.request.command = outcome.command_line;
  options.request.look_only = options.dry_run;
  RecipeFile file;
  const PreparedRun prepared = prepare_run(options.request, file);
  const RunOptions run{.directory = options.request.directory,
                       .resume = options.request.resume,
                       .is_locked = prepared.lock.has_value(),
                       .device = kind,
                       .command_line = outcome.command_line,
                       .log_format = options.log_format == "json" ? LogFormat::json : LogFormat::text,
                       .controls = &controls};
  if (options.dry_run) return print_plan(training_plan(file.recipe(), *prepared.data, run), options.json);

  const RunSummary summary = train(file.recipe(), *prepared.data, run);
  const std::string page = written_report(run.directory);
  if (summary.end == RunEnd::interrupted) outcome.exit_code = kInterrupted;
  const bool taken = hand_over(result_text(run.directory, summary, page, options.json), &controls.stop);
  if (!taken && summary.end == RunEnd::finished)
    fail(ErrorKind::io, "asked to stop while standard output did not take the results; the run is finished and saved");
}

}  // namespace

void add_train(Verb program, Outcome& outcome) {
  Verb verb = program.add_verb("train", "Trains a model from a recipe");
  auto options = std::make_shared<TrainOptionsOfVerb>();
  verb.add("recipe", options->request.recipe,
           "Name of a recipe (vqvae for pictures of your own; a wrong name lists all), or a JSON file")
      .required();
  verb.add("assignments", options->request.assignments,
           "key=value: overrides a key of the recipe, such as train.steps=1000");
  verb.add("--data", options->data, "Where the data are (data.path)");
  verb.add("--out", options->out, "Run directory; default: runs/RECIPE");
  verb.add("--resume", options->request.resume, "Go on from the run's newest checkpoint, bit for bit");
  verb.add("--dry-run", options->dry_run, "Print what would be trained, with how much memory and disk; write nothing");
  verb.add("--log-format", options->log_format, "json: each line of metrics.jsonl to standard output, no progress line")
      .one_of({"text", "json"});
  add_json_option(verb, options->json);
  add_device_option(verb, options->device);
  verb.footer(
      "Example: gesso train vqvae --data photos --out runs/mine\n"
      "         gesso train vqvae-shapes --out runs/first train.steps=500\n"
      "         gesso train vqvae-shapes --out runs/first --resume train.steps=1000\n"
      "The first interrupt (Ctrl-C) or SIGTERM saves and stops with exit code 75; a second interrupt stops at once.\n"
      "SIGUSR1 saves, SIGUSR2 makes pictures, and training goes on.");
  verb.runs([options, &outcome] { run_train(*options, outcome); });
}

}  // namespace gesso
