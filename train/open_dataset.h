// From the `data` keys of a recipe to the data set that they name.
#pragma once

#include <cstdint>
#include <memory>

#include "train/dataset.h"
#include "train/recipe.h"

namespace gesso {

// `seed` draws the pictures of drawn sets. Throws what opening the set throws.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options, Split split, std::uint64_t seed);

// The data.kind of what lies at the path, told by the names of its files; a folder without known ones holds pictures.
// Throws where nothing lies there.
std::string kind_of_data(const Path& path);

}  // namespace gesso
