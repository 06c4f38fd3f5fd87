// A folder of pictures such as people have: sizes, depths, colours, alpha, palettes, orientations, and a few broken
// ones.
#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <string>

#include "tests/handmade_jpeg.h"
#include "tests/handmade_png.h"
#include "tests/temporary_directory.h"

namespace gesso {

// A bright disc on a gradient.
inline Image scene(std::mt19937_64& random, std::int64_t height, std::int64_t width, std::int64_t channels) {
  Image image({height, width, channels});
  const auto draw = [&](std::uint64_t below) { return static_cast<std::int64_t>(random() % below); };
  const std::int64_t row = draw(static_cast<std::uint64_t>(height)), column = draw(static_cast<std::uint64_t>(width));
  const std::int64_t radius = 4 + draw(12), tint = draw(3);
  std::size_t at = 0;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      const bool inside = (y - row) * (y - row) + (x - column) * (x - column) < radius * radius;
      for (std::int64_t c = 0; c < channels; ++c)
        image.pixels[at++] =
            static_cast<std::uint8_t>(inside ? (c == tint ? 250 : 120) : 20 + 80 * (x + y) / (height + width));
    }
  return image;
}

// The rows of a PNG of `bits` from a picture, each value repeated in its low byte where it has two, alpha as it is.
inline std::string png_rows(const Image& image, int bits) {
  const auto row = static_cast<std::size_t>(image.shape.width * image.shape.channels);
  std::string rows;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    if (i % row == 0) rows += '\0';
    rows.append(bits == 16 ? 2 : 1, static_cast<char>(image.pixels[i]));
  }
  return rows;
}

// One of ten kinds of file.
inline std::string mixed_picture(std::mt19937_64& random, int kind) {
  const auto side = [&] { return 20 + static_cast<std::int64_t>(random() % 60); };
  const std::int64_t height = side(), width = side();
  const auto orientation = static_cast<char>(1 + random() % 8);
  const auto png = [&](char depth, char colour, std::int64_t channels, const std::string& before = "") {
    return handmade_png({static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height), depth, colour,
                         png_rows(scene(random, height, width, channels), depth), before});
  };
  switch (kind) {
    case 0:
      return handmade_jpeg(scene(random, height, width, 3));
    case 1:
      return handmade_jpeg(scene(random, height, width, 3), {.exif = exif_block(orientation)});
    case 2:
      return handmade_jpeg(scene(random, height, width, 3),
                           {.progressive = true, .exif = exif_block(orientation, false)});
    case 3:
      return handmade_jpeg(scene(random, height, width, 1));
    case 4:
      return png(8, 2, 3);
    case 5:
      return png(8, 0, 1);
    case 6:
      return png(8, 4, 2);
    case 7:
      return png(8, 6, 4);
    case 8:
      return png(16, 0, 1);
    default:
      return png(16, 2, 3, png_chunk("eXIf", exif_block(orientation)));
  }
}

inline constexpr std::array<const char*, 3> kBrokenPictures = {"broken-cut.jpg", "broken-flipped.png",
                                                               "broken-text.png"};

// Fills the directory's folder `name` with `count` files, the three broken ones among them.
inline std::filesystem::path write_mixed_folder(const TemporaryDirectory& directory, const std::string& name, int count,
                                                std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::filesystem::create_directory(directory / name);
  const auto broken = [&](int i) { return name + "/" + kBrokenPictures[static_cast<std::size_t>(i)]; };
  std::string cut = mixed_picture(random, 0), flipped = mixed_picture(random, 4);
  flipped[flipped.find("IDAT") + 20] ^= 0x10;
  directory.write(broken(0), cut.substr(0, cut.size() / 2));
  directory.write(broken(1), flipped);
  directory.write(broken(2), "this was never a picture");
  for (int i = 0; i < count - 3; ++i) {
    const int kind = i % 10;
    directory.write(fmt::format("{}/{:03}.{}", name, i, kind < 4 ? "jpg" : "png"), mixed_picture(random, kind));
  }
  return directory / name;
}

}  // namespace gesso
