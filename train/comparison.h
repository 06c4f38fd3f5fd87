// Pictures of a data set as a tensor, and pictures before and after a model side by side.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "train/dataset.h"

namespace gesso {

// Images [begin, begin + count) of the data set: [count,H,W,C] of its type.
Tensor read_images(const Dataset& data, std::int64_t begin, std::int64_t count, Device& device);
// [N,H,W,C] u8 of pictures of one shape. Throws where shapes differ or there is none.
Tensor image_tensor(const std::vector<Image>& pictures, Device& device);

// Rows of up to eight pictures, each row of `before` above its row of `after`, enlarged until they can be seen.
Image comparison_grid(const std::vector<Image>& before, const std::vector<Image>& after);

}  // namespace gesso
