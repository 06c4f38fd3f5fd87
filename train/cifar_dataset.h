// CIFAR-10 in its authors' "binary version" (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"):
// a directory with data_batch_1.bin to data_batch_5.bin and test_batch.bin, each plain or with .xz or .gz. A file is a
// row of records: one label byte, then 1,024 red, 1,024 green and 1,024 blue bytes. test_batch is the validation split.
#pragma once

#include <memory>

#include "train/dataset.h"
#include "train/files.h"

namespace gesso {

// Holds the split in memory, 32x32x3. Throws ErrorKind::data where files are missing (naming them), damaged, not made
// of whole records, of more than the 10,000 records of the original, or with a label above 9.
std::unique_ptr<Dataset> open_cifar_dataset(const Path& directory, Split split);

}  // namespace gesso
