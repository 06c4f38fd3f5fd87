// What a recipe's settings become: the task, and the options of its steps.
#pragma once

#include <memory>

#include "train/recipe.h"
#include "train/step.h"
#include "train/task.h"

namespace gesso {

// The task that a recipe names, on a device, with its parameters initialised. The recipe's image shape must be
// resolved.
std::unique_ptr<Task> make_task(const Recipe& recipe, Device& device);
// The options of its steps that a recipe names.
StepOptions step_options(const Recipe& recipe, bool replay);
// Image shape 0x0x0 becomes that of the data. Throws where the recipe wants another.
void resolve_image_shape(Recipe& recipe, const ImageShape& found);

}  // namespace gesso
