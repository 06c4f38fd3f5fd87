// gesso evaluate: a trained model's own metrics on the test images.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/verbs.h"
#include "train/open_dataset.h"
#include "train/recipe_task.h"
#include "train/run.h"

namespace gesso {
namespace {

struct EvaluateOptions {
  std::string run, data, device = "cpu";
  std::int64_t batch = 64;
  bool json = false;
};

void run_evaluate(const EvaluateOptions& options) {
  Device& where = device(device_kind(options.device));
  std::vector<std::string> assignments;
  if (!options.data.empty()) assignments.push_back("data.path=" + options.data);
  const std::unique_ptr<TrainedRun> run = open_run(options.run, assignments, where);
  const Recipe& recipe = run->file.recipe();
  const auto data = open_dataset(recipe.data, Split::validation, static_cast<std::uint64_t>(recipe.train.seed));
  Recipe expected = recipe;
  resolve_image_shape(expected, data->image_shape());
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const nn::StepState state(where);
  nn::StateUpdates unused;
  const std::vector<Metric> metrics =
      run->task->evaluate({.device = where, .state = state, .updates = unused}, *data, options.batch);
  if (options.json) {
    nlohmann::ordered_json object = json_of(metrics);
    object["step"] = run->step;
    return print_json(object);
  }
  for (const Metric& metric : metrics) fmt::print("{:<18} {:.6g}\n", metric.name, metric.value);
}

}  // namespace

void add_evaluate(Verb program, Outcome&) {
  Verb verb = program.add_verb("evaluate", "Measures a trained model on the test images");
  auto options = std::make_shared<EvaluateOptions>();
  verb.add("run", options->run, "Run directory").required();
  verb.add("--data", options->data, "Where the data are; default: where the run found them");
  verb.add("--batch", options->batch, "Images at a time; results do not depend on it but for rounding")
      .between(1, 65536);
  add_json_option(verb, options->json);
  add_device_option(verb, options->device);
  verb.footer("Example: gesso evaluate runs/first --json");
  verb.runs([options] { run_evaluate(*options); });
}

}  // namespace gesso
