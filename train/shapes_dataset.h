// A data set that needs no file: one anti-aliased shape a picture, before a soft gradient, at any place, size, angle
// and colour. The class is the shape. Picture i is a pure function of (seed, split, i).
#pragma once

#include <cstdint>
#include <memory>

#include "train/dataset.h"

namespace gesso {

struct ShapesOptions {
  std::int64_t count = 50'000;
  std::int64_t image_size = 32;  // height and width
  std::int64_t channels = 3;     // 1: the luma of the same pictures
  std::uint64_t seed = 0;
};
// Throws on an image size outside 4 to 4096, on channels other than 1 and 3, on a negative count.
std::unique_ptr<Dataset> make_shapes_dataset(const ShapesOptions& options, Split split);

}  // namespace gesso
