#include "train/recipe.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "core/error.h"
#include "train/text.h"

namespace gesso {
namespace {

constexpr std::int64_t kManySteps = 1'000'000'000'000;
constexpr std::int64_t kLargestSide = 16384;

void declare_data(JsonConfig& config, DataOptions& data) {
  config.field("data.kind", data.kind, {"idx", "cifar10", "folder", "shapes"},
               "idx: MNIST's file format; cifar10: its binary version; folder: PNG and JPEG files; shapes: drawn by "
               "gesso itself");
  config.field("data.path", data.path,
               "the folder; idx: with train-images-idx3-ubyte and its kin; cifar10: with data_batch_1.bin and its kin; "
               "folder: with pictures, or with a folder of pictures for each class");
  config.field(
      "data.size", data.size, {8, 1024},
      "folder, shapes: height and width; of a file the shorter side is brought to it, the longer one is cropped");
  config.field("data.channels", data.channels, {1, 3}, "folder, shapes: 1 grey, 3 colour");
  config.field("data.count", data.count, {1, kManySteps}, "shapes: training images");
  config.field("data.test_count", data.test_count, {1, kManySteps}, "shapes: test images");
  config.field("data.bits", data.bits, {8, 16}, "folder: 8 or 16 a value");
  config.field("data.crop", data.crop, {{"center", Crop::center}, {"random", Crop::random}},
               "folder: which part of the longer side training sees");
  config.field(
      "data.classes", data.classes,
      "folder: whether the folders in it are classes, with no picture beside them; false: pictures lie anywhere");
  config.field("data.flip", data.flip, "training exchanges left and right half of the time");
  config.field("data.validation", data.validation, {0, 1},
               "folder: share of the files to test with, by a hash of their names");
  config.field("data.max_bad", data.max_bad, {0, 1}, "folder: share of the files that may be skipped as unusable");
  config.field("data.cache_mib", data.cache_mib, {0, 1 << 24},
               "folder: MiB of decoded pictures that stay in memory; others are decoded again");
  config.field("data.loaders", data.loaders, {1, 64}, "threads that prepare batches; results do not depend on it");
}

void declare_training(JsonConfig& config, Recipe& recipe) {
  config.field("train.steps", recipe.train.steps, {1, kManySteps}, "steps after which training stops");
  config.field("train.batch", recipe.train.batch, {1, 65536},
               "images that go through the model at once; a step has train.accumulate times as many");
  config.field("train.accumulate", recipe.train.accumulate, {1, kMostMicroBatches},
               "micro-batches of train.batch images a step, one after the other: the step of one large batch in the "
               "memory of a small one");
  config.field("train.seed", recipe.train.seed, {0}, "seed of all randomness");
  config.field("train.recompute", recipe.train.recompute, {{"off", Recompute::off}, {"stages", Recompute::stages}},
               "stages: less memory for more time; inner results are computed again in the backward pass, to the same "
               "bits");
  Choices<ConvAlgorithm> algorithms;
  for (const ConvAlgorithm algorithm :
       {ConvAlgorithm::automatic, ConvAlgorithm::direct, ConvAlgorithm::winograd2, ConvAlgorithm::winograd4})
    algorithms.emplace_back(name_of(algorithm), algorithm);
  config.field("conv.algorithm", recipe.conv.algorithm, algorithms,
               "of convolutions on the CPU where it applies; auto: planned by shape; each rounds otherwise");
  config.field("log.every", recipe.log.every, {1, kManySteps}, "steps between lines of metrics.jsonl");
  config.field("checkpoint.every", recipe.checkpoint.every, {1, kManySteps}, "steps between checkpoints");
  config.field("checkpoint.keep", recipe.checkpoint.keep, {0, 1'000'000}, "newest checkpoints that stay; 0: all");
  config.field("sample.every", recipe.sample.every, {1, kManySteps},
               "steps between pictures, after steps 1, 2, 4, ...");
  config.field("sample.count", recipe.sample.count, {1, 1024}, "pictures a grid");
}

void declare_optimizer(JsonConfig& config, nn::OptimizerOptions& optimizer, nn::Schedule& schedule) {
  using nn::OptimizerKind, nn::ScheduleKind;
  config.field("optimizer.kind", optimizer.kind,
               {{"adamw", OptimizerKind::adamw}, {"adam", OptimizerKind::adam}, {"sgd", OptimizerKind::sgd}},
               "how gradients move weights");
  config.field("optimizer.beta1", optimizer.beta1, {0, 1}, "adam, adamw: decay of the first moment");
  config.field("optimizer.beta2", optimizer.beta2, {0, 1}, "adam, adamw: decay of the second moment");
  config.field("optimizer.eps", optimizer.eps, {0, 1}, "adam, adamw: added to the root of the second moment");
  config.field("optimizer.momentum", optimizer.momentum, {0, 1}, "sgd: decay of the velocity");
  config.field("optimizer.weight_decay", optimizer.weight_decay, {0, 1e3}, "of weights, not of biases and norms");
  config.field("optimizer.clip_norm", optimizer.clip_norm, {0}, "largest global gradient norm; 0: any");
  config.field("optimizer.ema_decay", optimizer.ema_decay, {0, 1}, "moving average of the weights; 0: none");
  config.field("optimizer.ema_warmup", optimizer.ema_warmup, "min(ema_decay, (1 + step) / (10 + step))");
  config.field("schedule.kind", schedule.kind,
               {{"constant", ScheduleKind::constant},
                {"cosine", ScheduleKind::cosine},
                {"linear", ScheduleKind::linear},
                {"step", ScheduleKind::step}},
               "learning rate after warm-up");
  config.field("schedule.rate", schedule.rate, {0, 1e3}, "highest learning rate");
  config.field("schedule.warmup", schedule.warmup, {0, kManySteps}, "steps of linear rise");
  config.field("schedule.horizon", schedule.horizon, {1, kManySteps},
               "cosine, linear: step at which the end is reached");
  config.field("schedule.final_rate", schedule.final_rate, {0, 1e3}, "cosine, linear: learning rate at the end");
  config.field("schedule.every", schedule.every, {1, kManySteps}, "step: steps between two falls");
  config.field("schedule.factor", schedule.factor, {0, 1}, "step: what a fall leaves");
}

void declare_spikes(JsonConfig& config, nn::SpikeOptions& spikes) {
  using nn::SpikePolicy;
  constexpr std::int64_t kMost = nn::StepGate::kWindow;
  config.field("spikes.policy", spikes.policy, {{"log", SpikePolicy::log}, {"skip", SpikePolicy::skip}},
               "what becomes of a step whose loss or gradient norm is far above those of the 128 before it; log: it is "
               "told; skip: it changes nothing, too");
  config.field("spikes.deviations", spikes.deviations, {1, 1e6},
               "how far above their median; each counts as a standard deviation, found from the median distance");
  config.field("spikes.skips_in_row", spikes.skips_in_row, {0, kMost},
               "skip: so many one after the other; one more stops the run");
  config.field("spikes.skips_in_window", spikes.skips_in_window, {0, kMost},
               "skip: so many of 128 steps; one more stops the run");
}

void declare_vqvae(JsonConfig& config, Recipe& recipe) {
  using models::CodebookUpdate, models::ImagePadding, nn::InitKind;
  models::VqvaeOptions& vqvae = recipe.vqvae;
  config.field("model.kind", recipe.model, {"vqvae"}, "the model family");
  config.field("model.height", vqvae.height, {0, kLargestSide}, "of the images; 0: as the data are");
  config.field("model.width", vqvae.width, {0, kLargestSide}, "of the images; 0: as the data are");
  config.field("model.channels", vqvae.channels, {0, 256}, "of the images; 0: as the data are");
  config.field("model.hidden", vqvae.hidden, {2, kLargestSide}, "channels inside encoder and decoder");
  config.field("model.residual_hidden", vqvae.residual_hidden, {1, kLargestSide}, "channels inside a residual block");
  config.field("model.residual_blocks", vqvae.residual_blocks, {0, 64}, "residual blocks, each side");
  config.field("model.residual_bias", vqvae.residual_bias, "biases in the convolutions of residual blocks");
  config.field("model.downsamples", vqvae.downsamples, {1, 6}, "stride-2 convolutions, each side");
  config.field("model.padding", vqvae.padding,
               {{"none", ImagePadding::none}, {"edge", ImagePadding::edge}, {"zero", ImagePadding::zero}},
               "images whose sides 2^downsamples does not divide: refused, or padded with the nearest pixel or with 0");
  config.field("model.dropout", vqvae.dropout, {0, 0.99}, "inside residual blocks");
  config.field("model.init", vqvae.init,
               {{"lecun_normal", InitKind::lecun_normal},
                {"kaiming_uniform", InitKind::kaiming_uniform},
                {"xavier_uniform", InitKind::xavier_uniform}},
               "how weights start");
  config.field("model.codes", vqvae.quantizer.codes, {1, 1 << 20}, "codebook size K");
  config.field("model.code_width", vqvae.quantizer.width, {1, kLargestSide}, "codebook width D");
  config.field("model.codebook", vqvae.quantizer.update,
               {{"ema", CodebookUpdate::ema}, {"gradient", CodebookUpdate::gradient}}, "how the codebook moves");
  config.field("model.beta", vqvae.quantizer.beta, {0, 1e3}, "weight of the commitment loss");
  config.field("model.decay", vqvae.quantizer.decay, {0, 1}, "ema: decay of counts and sums");
  config.field("model.revive_below", vqvae.quantizer.revive_below, {0, 1e6},
               "ema: average count below which a code is set to a vector of the batch; 0: never");
  config.field("model.start_from_data", recipe.start_from_data, "the codebook's vectors are encoded images at step 0");
}

// Those of the installation that the program runs from, else those of the tree that it was built from.
Path recipes_folder() {
  std::error_code none;
  const Path program = std::filesystem::read_symlink("/proc/self/exe", none);
  const Path installed = program.parent_path().parent_path() / "share/gesso/recipes";
  return std::filesystem::is_directory(installed, none) ? installed : Path(GESSO_RECIPES);
}

}  // namespace

RecipeFile::RecipeFile() {
  config_.field("about.recipe", recipe_.about.recipe, "where this recipe came from; set by gesso");
  config_.field("about.version", recipe_.about.version, "of gesso; set by gesso");
  config_.field("about.command", recipe_.about.command, "that started the run; set by gesso");
  config_.field("about.data", recipe_.about.data, "number, shape and files of the training images; set by gesso");
  config_.field("about.chosen", recipe_.about.chosen, "what gesso chose where the recipe says auto; set by gesso");
  declare_vqvae(config_, recipe_);
  declare_data(config_, recipe_.data);
  declare_training(config_, recipe_);
  declare_optimizer(config_, recipe_.optimizer, recipe_.schedule);
  declare_spikes(config_, recipe_.spikes);
  config_.allow_auto({"data.kind", "data.size", "data.channels", "data.crop", "data.flip", "data.validation",
                      "model.hidden", "model.code_width", "model.codes", "train.batch", "train.steps",
                      "schedule.warmup", "schedule.horizon", "log.every", "checkpoint.every", "sample.every"});
}

std::string text_of(const Recipe& recipe) {
  RecipeFile file;
  file.recipe() = recipe;
  return file.config().text();
}

void Recipe::validate() const {
  optimizer.validate();
  schedule.validate();
  spikes.validate();
  if (data.channels == 2) fail("data.channels must be 1 or 3, but is 2");
  if (data.bits != 8 && data.bits != 16) fail("data.bits must be 8 or 16, but is {}", data.bits);
  if (data.kind != "folder" && data.bits == 16)
    fail("data.bits is 16, but data.kind {} has 8; only folder has files of 16 bits", data.kind);
  if (data.kind != "folder" && data.crop == Crop::random)
    fail("data.crop is random, but data.kind {} has nothing to crop; only folder has files of any size", data.kind);
  if (data.kind != "shapes" && data.path.empty())
    fail("data.path is empty; give the folder of the images with --data FOLDER{}",
         data.kind == "idx" ? ", for instance /usr/share/datasets/fashion-mnist (Debian's package "
                              "dataset-fashion-mnist)"
                            : "");
}

Path recipe_path(const std::string& name_or_path) {
  if (std::filesystem::is_regular_file(name_or_path)) return name_or_path;
  const bool is_name = name_or_path.find('/') == std::string::npos && !name_or_path.ends_with(".json");
  if (!is_name && std::filesystem::exists(name_or_path))
    fail("recipe {}: is {}; give the name of a recipe, or a JSON file", name_or_path,
         std::filesystem::is_directory(name_or_path) ? "a folder" : "no regular file");
  if (!is_name) fail("recipe {}: no such file", name_or_path);
  const Path folder = recipes_folder();
  const Path path = folder / (name_or_path + ".json");
  if (std::filesystem::is_regular_file(path)) return path;
  std::vector<std::string> names;
  for (const std::string& file : list_directory(folder))
    if (file.ends_with(".json")) names.push_back(file.substr(0, file.size() - 5));
  const std::string near = nearest(name_or_path, names);
  fail("there is no recipe '{}'; {}ecipes are {}, or a path to a JSON file", name_or_path,
       near.empty() ? "r" : fmt::format("did you mean '{}'? R", near), fmt::join(names, ", "));
}

}  // namespace gesso
