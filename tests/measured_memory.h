// What memory work takes on a device: as its allocator saw it, and as it was predicted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "ops/check/trial.h"
#include "ops/conv_algorithm.h"
#include "tests/pattern_dataset.h"
#include "train/comparison.h"
#include "train/predicted_memory.h"
#include "train/recipe_task.h"

namespace gesso {

// The most that was live on the device while a case ran forward and backward, beyond what was live before.
inline std::size_t peak_of(const RowInfo& row, const check::CheckCase& c, Device& device, ThreadPool& pool) {
  const std::size_t before = device.allocator().statistics().live_bytes;
  device.allocator().reset_peak();
  check::Trial trial(row, c, DType::f32, {device, pool, isa()});
  trial.run_all();
  return device.allocator().statistics().peak_bytes - before;
}

// A recipe of the installation on drawn pictures, with keys changed.
class PlannedRecipe {
 public:
  PlannedRecipe(const std::string& name, const std::vector<std::string>& changes) {
    file_.config().load_file(recipe_path(name));
    for (const char* change : {"data.kind=shapes", "data.path=", "data.crop=center"}) file_.config().assign(change);
    for (const std::string& change : changes) file_.config().assign(change);
    const DataOptions& data = file_.recipe().data;
    resolve_image_shape(file_.recipe(), {data.size, data.size, data.channels});
  }
  Recipe& recipe() { return file_.recipe(); }

 private:
  RecipeFile file_;
};

// What the device's allocator saw at the most while a few steps were made.
inline MemoryStatistics measured(const Recipe& recipe, Device& device) {
  device.allocator().trim();
  const std::size_t before = device.allocator().statistics().live_bytes;
  device.allocator().reset_peak();
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const models::VqvaeOptions& model = recipe.vqvae;
  const PatternDataset data({model.height, model.width, model.channels}, recipe.train.images_a_step());
  const std::unique_ptr<Task> task = make_task(recipe, device);
  task->measure(data);
  nn::Optimizer optimizer(task->store(), recipe.optimizer);
  const Tensor images = read_images(data, 0, recipe.train.images_a_step(), device);
  TrainStep step(*task, optimizer, images, step_options(recipe, true));
  for (std::int64_t i = 0; i < 3; ++i) (void)step.run(i, 1e-3);
  MemoryStatistics used = device.allocator().statistics();
  used.peak_bytes -= before;
  used.peak_held_bytes -= before;
  return used;
}

inline PredictedMemory predicted(const Recipe& recipe, Device& device) {
  return predict_memory({.recipe = recipe, .device = device});
}

}  // namespace gesso
