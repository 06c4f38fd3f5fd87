// Many pictures in one, row by row.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "train/image.h"

namespace gesso {

struct GridOptions {
  std::int64_t columns = 8;
  std::int64_t padding = 2;       // pixels between pictures and around them
  std::int64_t scale = 1;         // each pixel becomes scale x scale
  std::uint8_t background = 255;  // of 255, whatever the pictures' bits
};
// The shape of a grid of so many pictures of one shape. Throws where an option makes no sense.
ImageShape grid_shape(std::int64_t count, const ImageShape& shape, const GridOptions& options);
// Whether one picture may be so large.
bool can_be_picture(const ImageShape& whole);
// Throws ErrorKind::usage where it may not. what: "grid", of `count` pictures of `shape`; remedy: what to do.
void check_can_be_picture(std::string_view what, std::int64_t count, const ImageShape& shape, const ImageShape& whole,
                          std::string_view remedy);

// images: [N,H,W,C] of N pictures of that shape. The last row may stay incomplete; no pictures give no rows. Throws
// where the values are no whole number of pictures, and where the grid would be above the limits of a picture.
Image make_grid(std::span<const std::uint8_t> images, const ImageShape& shape, const GridOptions& options = {});
Image16 make_grid(std::span<const std::uint16_t> images, const ImageShape& shape, const GridOptions& options = {});

}  // namespace gesso
