#include "train/image.h"

#include <algorithm>

#include "core/error.h"

namespace gesso {

std::string ImageShape::text() const { return fmt::format("{}x{}x{}", height, width, channels); }

Image with_channels(const Image& image, std::int64_t channels) {
  const std::int64_t given = image.shape.channels;
  if (given == channels) return image;
  if ((given != 1 && given != 3) || (channels != 1 && channels != 3))
    fail("image: cannot turn {} channels into {}; 1 and 3 are known", given, channels);
  Image result({image.shape.height, image.shape.width, channels});
  const std::size_t pixels = image.pixels.size() / static_cast<std::size_t>(given);
  for (std::size_t i = 0; i < pixels; ++i) {
    if (channels == 3) {
      std::fill_n(result.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, image.pixels[i]);
    } else {
      const std::uint8_t* rgb = &image.pixels[3 * i];
      result.pixels[i] = static_cast<std::uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
    }
  }
  return result;
}

}  // namespace gesso
