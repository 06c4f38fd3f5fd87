// Pictures in memory: u8, [H,W,C], C = 1 (grey) or 3 (red, green, blue).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gesso {

struct ImageShape {
  std::int64_t height = 0, width = 0, channels = 0;

  std::int64_t count() const { return height * width * channels; }
  std::string text() const;  // "28x28x1"
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

struct Image {
  ImageShape shape;
  std::vector<std::uint8_t> pixels;  // [H,W,C]

  Image() = default;
  explicit Image(const ImageShape& s, std::uint8_t value = 0)
      : shape(s), pixels(static_cast<std::size_t>(s.count()), value) {}
};

// Grey to colour by repeating, colour to grey by luma (ITU-R BT.601); the image itself where it has so many channels
// already.
Image with_channels(const Image& image, std::int64_t channels);

}  // namespace gesso
