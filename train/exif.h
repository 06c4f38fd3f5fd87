// Which way up a picture is, as cameras note it (Exif 2.3, 4.6.4 A, tag 0x0112).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "train/image.h"

namespace gesso {

// Names the picture's edges that hold the stored first row and first column.
enum class Orientation : std::uint8_t {
  top_left = 1,  // as stored
  top_right,
  bottom_right,
  bottom_left,
  left_top,
  right_top,
  right_bottom,
  left_bottom
};

// tiff: the Exif block behind its "Exif\0\0", hostile. top_left where it says nothing that makes sense.
Orientation exif_orientation(std::span<const std::byte> tiff);

// The picture as it is meant to be seen. Shapes: [H,W,C] to [H,W,C], or to [W,H,C] from left_top on.
template <class T>
BasicImage<T> upright(BasicImage<T> stored, Orientation orientation);

}  // namespace gesso
