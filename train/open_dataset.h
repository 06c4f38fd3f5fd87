// From the `data` keys of a recipe to the data set that they name.
#pragma once

#include <cstdint>
#include <memory>

#include "train/dataset.h"
#include "train/recipe.h"

namespace gesso {

// `seed` draws the pictures of drawn sets. Throws what opening the set throws.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options, Split split, std::uint64_t seed);

}  // namespace gesso
