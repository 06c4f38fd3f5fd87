// MNIST and its relatives: a directory with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte
// and t10k-labels-idx1-ubyte, each plain or with .xz or .gz. t10k is the validation split. Pictures of several
// channels are [N,H,W,C], in train-images-idx4-ubyte and t10k-images-idx4-ubyte.
#pragma once

#include <memory>

#include "train/dataset.h"
#include "train/files.h"

namespace gesso {

// Holds the split in memory. Throws ErrorKind::data where files are missing (naming them), damaged, or do not match.
std::unique_ptr<Dataset> open_idx_dataset(const Path& directory, Split split);

}  // namespace gesso
