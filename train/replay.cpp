#include "train/replay.h"

#include <optional>

#include "core/error.h"
#include "core/isa.h"
#include "train/recipe_task.h"
#include "train/step.h"

namespace gesso {
namespace {

// Of the recipe, which the images must fit.
void check_images(const Tensor& images, const Recipe& recipe, const Path& directory) {
  const models::VqvaeOptions& model = recipe.vqvae;
  const Shape wanted{recipe.train.images_a_step(), model.height, model.width, model.channels};
  if (images.shape() != wanted)
    fail(ErrorKind::data, "{}: its images are {}, but by its settings they are {}", directory.string(),
         images.spec().text(), Spec{wanted, images.dtype()}.text());
}

}  // namespace

Replay replay_step(const ReplayRequest& request) {
  const VerifiedCheckpoint files = open_step_dump(request.run, request.dump);
  const StepDump dump = read_step_dump(files);
  Replay replay{.directory = files.checkpoint.directory, .before = dump.record, .now = dump.record};
  RecipeFile file;
  file.config().load(dump.config, (replay.directory / kConfigFile).string());
  const Recipe& recipe = file.recipe();
  recipe.validate();
  check_images(dump.images, recipe, replay.directory);

  Device& where = device(device_kind(request.device.empty() ? dump.record.device : request.device));
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const std::unique_ptr<Task> task = make_task(recipe, where);
  nn::Optimizer optimizer(task->store(), recipe.optimizer, recipe.spikes);
  load_checkpoint(files, task->store(), step_files(task->store(), optimizer));
  const std::span<const std::byte> pixels(dump.images.bytes(), dump.images.spec().bytes());
  TrainStep step(*task, optimizer, Tensor::from_host_bytes(pixels, dump.images.spec(), where),
                 step_options(recipe, /*replay=*/false));
  const std::int64_t number = dump.record.step - 1;
  const double rate = recipe.schedule.at(number);
  {
    std::optional<ResultWatch> watch;
    if (request.tell) watch.emplace(request.tell);
    const StepValues values = step.run(number, rate);
    replay.now.decision = values.decision();
    replay.now.values = values.read();
  }
  replay.now.first_bad = replay.now.complaint = "";
  if (replay.now.decision.verdict == ops::StepVerdict::not_finite) step.look_for_bad(number, rate, replay.now);
  replay.now.device = where.name();
  replay.now.isa = name_of(isa());
  return replay;
}

}  // namespace gesso
