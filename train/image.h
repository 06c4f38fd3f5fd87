// Pictures in memory: [H,W,C] of 8 or 16 bits a value, C = 1 (grey) or 3 (red, green, blue).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace gesso {

struct ImageShape {
  std::int64_t height = 0, width = 0, channels = 0;

  std::int64_t count() const { return height * width * channels; }
  std::string text() const;  // "28x28x1"
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

template <class T>
struct BasicImage {
  static constexpr T kWhite = std::numeric_limits<T>::max();

  ImageShape shape;
  std::vector<T> pixels;  // [H,W,C]

  BasicImage() = default;
  explicit BasicImage(const ImageShape& s, T value = 0)
      : shape(s), pixels(static_cast<std::size_t>(s.count()), value) {}
};
using Image = BasicImage<std::uint8_t>;
using Image16 = BasicImage<std::uint16_t>;

// Grey to colour by repeating, colour to grey by luma (ITU-R BT.601); the image itself where it has so many channels
// already. Throws on other numbers of channels than 1 and 3.
template <class T>
BasicImage<T> with_channels(BasicImage<T> image, std::int64_t channels);

// The full range stays the full range: 0xAB becomes 0xABAB, and 16 bits are rounded to the nearest of 8.
Image16 to_16_bits(const Image& image);
Image to_8_bits(const Image16& image);

// [H,W,C+1] with alpha last, laid over white.
template <class T>
void lay_over_white(BasicImage<T>& image);

// What a file may hold; decoders refuse more before they take memory.
struct PictureLimits {
  std::int64_t max_side = 16384;
  std::int64_t max_pixels = std::int64_t{64} << 20;
};
// Throws ErrorKind::data, starting with `source`, naming the size and the limits.
void check_limits(const std::string& source, std::int64_t height, std::int64_t width, const PictureLimits& limits);

}  // namespace gesso
