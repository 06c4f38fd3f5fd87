// gesso reconstruct: pictures above what a trained model makes of them.
#include <algorithm>
#include <memory>

#include "core/error.h"
#include "tools/verbs.h"
#include "train/comparison.h"
#include "train/picture.h"
#include "train/png.h"
#include "train/open_dataset.h"
#include "train/run.h"
#include "train/trainer.h"

namespace gesso {
namespace {

struct ReconstructOptions {
  std::string run, out, data, device = "cpu";
  std::vector<std::string> images;
  std::int64_t count = 16;
  bool json = false;
};

std::vector<Image> pictures_to_do(const ReconstructOptions& options, const Recipe& recipe) {
  std::vector<Image> pictures;
  for (const std::string& path : options.images)
    pictures.push_back(with_channels(read_picture(path), recipe.vqvae.channels));
  if (!pictures.empty()) return pictures;
  const auto data = open_dataset(recipe.data, Split::validation, static_cast<std::uint64_t>(recipe.train.seed));
  for (std::int64_t i = 0; i < std::min(options.count, data->size()); ++i) pictures.push_back(data->image(i));
  return pictures;
}

void run_reconstruct(const ReconstructOptions& options, const std::string& command_line) {
  Device& where = device(device_kind(options.device));
  std::vector<std::string> assignments;
  if (!options.data.empty()) assignments.push_back("data.path=" + options.data);
  const std::unique_ptr<TrainedRun> run = open_run(options.run, assignments, where);
  const std::vector<Image> before = pictures_to_do(options, run->file.recipe());
  const Tensor images = image_tensor(before, where);
  models::VqvaeOptions fits = run->file.recipe().vqvae;
  fits.height = images.dim(1);
  fits.width = images.dim(2);
  fits.validate();
  const nn::StepState state(where);
  nn::StateUpdates unused;
  const std::vector<Image> after = run->task->reconstruct({.device = where, .state = state, .updates = unused}, images);
  write_png(options.out, comparison_grid(before, after), {{"Comment", command_line}});
  if (options.json) return print_json({{"out", options.out}, {"images", before.size()}, {"step", run->step}});
  fmt::print("{}: {} pictures, each above its reconstruction\n", options.out, before.size());
}

}  // namespace

void add_reconstruct(CLI::App& app, Outcome& outcome) {
  CLI::App* verb = app.add_subcommand("reconstruct", "Draws pictures above what a trained model makes of them");
  auto options = std::make_shared<ReconstructOptions>();
  verb->add_option("run", options->run, "Run directory")->required();
  verb->add_option("images", options->images,
                   "PNG or JPEG files of one size; default: the first test images of the run's data");
  verb->add_option("--out", options->out, "The picture to write (PNG)")->required();
  verb->add_option("--count", options->count, "How many test images, where no files are named")
      ->check(CLI::Range(1, 1024));
  verb->add_option("--data", options->data, "Where the data are; default: where the run found them");
  verb->add_flag("--json", options->json, "Last line of standard output: one JSON object");
  add_device_option(*verb, options->device);
  verb->footer("Example: gesso reconstruct runs/first --out reconstruction.png");
  verb->callback([options, &outcome] { run_reconstruct(*options, outcome.command_line); });
}

}  // namespace gesso
