// Pictures in other sizes, and parts of pictures.
#pragma once

#include <cstdint>

#include "train/image.h"

namespace gesso {

// Each new pixel is the mean of the old ones around its centre, weighted by a triangle that reaches one new pixel's
// width (one old pixel's, where the picture grows), along rows and then along columns. On values as they are stored
// (sRGB), as the libraries do that most published data sets were made with. No weight is negative, so edges get no
// halos and nothing has to be cut off; and every old pixel counts, so nothing aliases. Throws on sizes below 1.
template <class T>
BasicImage<T> resized(const BasicImage<T>& image, std::int64_t height, std::int64_t width);

// The shorter side becomes `size` and the other one keeps their ratio, to the nearest pixel.
template <class T>
BasicImage<T> resized_to_cover(const BasicImage<T>& image, std::int64_t size);

// height rows of width pixels, from (top, left) on. Throws where the part is not within the picture.
template <class T>
BasicImage<T> cropped(const BasicImage<T>& image, std::int64_t top, std::int64_t left, std::int64_t height,
                      std::int64_t width);

}  // namespace gesso
