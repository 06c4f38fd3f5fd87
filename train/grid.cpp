#include "train/grid.h"

#include <algorithm>

#include "core/error.h"

namespace gesso {
namespace {

template <class T>
BasicImage<T> grid_of(std::span<const T> images, const ImageShape& shape, const GridOptions& options) {
  const std::int64_t image_values = shape.count(), given = static_cast<std::int64_t>(images.size());
  if (image_values < 1 || given % image_values != 0)
    fail("grid: {} values are no whole number of pictures of {}", given, shape.text());
  const std::int64_t count = given / image_values;
  const ImageShape whole = grid_shape(count, shape, options);
  check_can_be_picture("grid", count, shape, whole, "make it of fewer");
  const std::int64_t cell_height = shape.height * options.scale + options.padding;
  const std::int64_t cell_width = shape.width * options.scale + options.padding;
  BasicImage<T> grid(whole, static_cast<T>(options.background * (BasicImage<T>::kWhite / 255)));
  const std::int64_t grid_row_values = grid.shape.width * shape.channels;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t top = i / options.columns * cell_height + options.padding;
    const std::int64_t left = i % options.columns * cell_width + options.padding;
    for (std::int64_t y = 0; y < shape.height * options.scale; ++y)
      for (std::int64_t x = 0; x < shape.width * options.scale; ++x) {
        const std::int64_t pixel = (y / options.scale * shape.width + x / options.scale) * shape.channels;
        std::copy_n(images.data() + i * image_values + pixel, shape.channels,
                    grid.pixels.data() + (top + y) * grid_row_values + (left + x) * shape.channels);
      }
  }
  return grid;
}

}  // namespace

ImageShape grid_shape(std::int64_t count, const ImageShape& shape, const GridOptions& options) {
  if (options.columns < 1 || options.padding < 0 || options.scale < 1)
    fail("grid: {} columns, padding {}, scale {}; expected at least 1, 0 and 1", options.columns, options.padding,
         options.scale);
  const std::int64_t rows = (count + options.columns - 1) / options.columns;
  return {rows * (shape.height * options.scale + options.padding) + options.padding,
          options.columns * (shape.width * options.scale + options.padding) + options.padding, shape.channels};
}

bool can_be_picture(const ImageShape& whole) {
  const PictureLimits limits;
  return whole.height <= limits.max_side && whole.width <= limits.max_side &&
         whole.height * whole.width <= limits.max_pixels;
}

void check_can_be_picture(std::string_view what, std::int64_t count, const ImageShape& shape, const ImageShape& whole,
                          std::string_view remedy) {
  if (can_be_picture(whole)) return;
  const PictureLimits limits;
  fail("{}: {} pictures of {} make one of {}x{} pixels, above the limit ({} a side, {} in all); {}", what, count,
       shape.text(), whole.height, whole.width, limits.max_side, limits.max_pixels, remedy);
}

Image make_grid(std::span<const std::uint8_t> images, const ImageShape& shape, const GridOptions& options) {
  return grid_of(images, shape, options);
}
Image16 make_grid(std::span<const std::uint16_t> images, const ImageShape& shape, const GridOptions& options) {
  return grid_of(images, shape, options);
}

}  // namespace gesso
