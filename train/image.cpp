#include "train/image.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace gesso {

std::string ImageShape::text() const { return fmt::format("{}x{}x{}", height, width, channels); }

template <class T>
BasicImage<T> with_channels(BasicImage<T> image, std::int64_t channels) {
  const std::int64_t given = image.shape.channels;
  if (given == channels) return image;
  if ((given != 1 && given != 3) || (channels != 1 && channels != 3))
    fail("image: cannot turn {} channels into {}; 1 and 3 are known", given, channels);
  BasicImage<T> result({image.shape.height, image.shape.width, channels});
  const std::size_t pixels = image.pixels.size() / static_cast<std::size_t>(given);
  for (std::size_t i = 0; i < pixels; ++i) {
    if (channels == 3) {
      std::fill_n(result.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, image.pixels[i]);
    } else {
      const T* rgb = &image.pixels[3 * i];
      result.pixels[i] = static_cast<T>((299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2] + 500u) / 1000u);
    }
  }
  return result;
}
template Image with_channels(Image, std::int64_t);
template Image16 with_channels(Image16, std::int64_t);

constexpr unsigned kByteStep = 257;  // 65535 / 255

Image16 to_16_bits(const Image& image) {
  Image16 result(image.shape);
  std::ranges::transform(image.pixels, result.pixels.begin(),
                         [](std::uint8_t value) { return static_cast<std::uint16_t>(value * kByteStep); });
  return result;
}

Image to_8_bits(const Image16& image) {
  Image result(image.shape);
  std::ranges::transform(image.pixels, result.pixels.begin(), [](std::uint16_t value) {
    return static_cast<std::uint8_t>((value + kByteStep / 2) / kByteStep);
  });
  return result;
}

template <class T>
void lay_over_white(BasicImage<T>& image) {
  constexpr std::uint64_t kWhite = BasicImage<T>::kWhite;
  const std::int64_t channels = image.shape.channels - 1, pixels = image.shape.height * image.shape.width;
  const T* from = image.pixels.data();
  T* to = image.pixels.data();  // never ahead of `from`
  for (std::int64_t i = 0; i < pixels; ++i, from += channels + 1) {
    const std::uint64_t alpha = from[channels];
    for (std::int64_t c = 0; c < channels; ++c)
      *to++ = static_cast<T>((from[c] * alpha + kWhite * (kWhite - alpha) + kWhite / 2) / kWhite);
  }
  image.shape.channels = channels;
  image.pixels.resize(static_cast<std::size_t>(image.shape.count()));
}
template void lay_over_white(Image&);
template void lay_over_white(Image16&);

void check_limits(const std::string& source, std::int64_t height, std::int64_t width, const PictureLimits& limits) {
  if (width > limits.max_side || height > limits.max_side || width * height > limits.max_pixels)
    fail(ErrorKind::data, "{}: {}x{} pixels are above the limit ({} a side, {} in all)", source, width, height,
         limits.max_side, limits.max_pixels);
}

}  // namespace gesso
