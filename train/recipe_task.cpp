#include "train/recipe_task.h"

#include <string_view>

#include "core/error.h"
#include "train/vqvae_task.h"

namespace gesso {

StepOptions step_options(const Recipe& recipe, bool replay) {
  return {.seed = static_cast<std::uint64_t>(recipe.train.seed),
          .replay = replay,
          .recompute = recipe.train.recompute == Recompute::stages,
          .micro_batches = recipe.train.accumulate};
}

std::unique_ptr<Task> make_task(const Recipe& recipe, Device& device) {
  return std::make_unique<VqvaeTask>(VqvaeTaskOptions{.model = recipe.vqvae,
                                                      .start_from_data = recipe.start_from_data,
                                                      .seed = static_cast<std::uint64_t>(recipe.train.seed)},
                                     device);
}

void resolve_image_shape(Recipe& recipe, const ImageShape& found) {
  models::VqvaeOptions& model = recipe.vqvae;
  const auto resolve = [&](std::string_view key, std::int64_t& wanted, std::int64_t given) {
    if (wanted == 0) wanted = given;
    if (wanted != given)
      fail("{} is {}, but the images of the data set are {}; leave it out, or give other data", key, wanted,
           found.text());
  };
  resolve("model.height", model.height, found.height);
  resolve("model.width", model.width, found.width);
  resolve("model.channels", model.channels, found.channels);
}

}  // namespace gesso
