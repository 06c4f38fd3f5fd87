// From the `data` keys of a recipe to the data set that they name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "train/dataset.h"
#include "train/recipe.h"

namespace gesso {

// `seed` draws the pictures of drawn sets; may_be_empty: a folder may have no picture in this split. Throws what
// opening the set throws.
std::unique_ptr<Dataset> open_dataset(const DataOptions& options, Split split, std::uint64_t seed,
                                      bool may_be_empty = false);

// What the model sees of each file of a folder; empty for data of other kinds.
std::string preparation_of(const DataOptions& options);

// The data.kind of a folder: idx or cifar10 where the names of its files say so, else folder. Throws ErrorKind::data
// where there is no folder.
std::string kind_of_data(const Path& path);

}  // namespace gesso
