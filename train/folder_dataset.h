// A folder of PNG and JPEG files of any size, depth and orientation as a data set of pictures of one shape. Folders in
// it are the classes.
#pragma once

#include <cstdint>
#include <memory>

#include "train/dataset.h"
#include "train/files.h"

namespace gesso {

struct FolderOptions {
  Path path = {};
  std::int64_t size = 64;      // height and width: the shorter side is brought to it, the longer one is cropped
  std::int64_t channels = 3;   // 1 or 3
  int bits = 8;                // 8 or 16
  bool classes = true;         // the folders in it that have pictures are the classes; false: there are none
  bool crop_anywhere = false;  // keep what a View may show beside the middle
  double validation = 0.1;     // share of the files
  double max_bad = 0.001;      // share of the files of both splits that may be skipped
  std::int64_t cache_bytes = std::int64_t{1} << 30;
  bool may_be_empty = false;
};

// Decodes every file of the split once, to know which ones can be used; the resized pictures stay in memory as far as
// cache_bytes go, the others are decoded again by each read. A file with another name than a picture's is left out
// where it is none (Dataset::left_out); any other that cannot be used is skipped and told (Dataset::skipped). Throws
// ErrorKind::data where these are too many, by themselves and not with those of the other split, which nobody has
// looked at; or where there is no picture and may_be_empty does not hold.
std::unique_ptr<Dataset> open_folder_dataset(const FolderOptions& options, Split split);

}  // namespace gesso
