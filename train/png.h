// PNG files, by libpng.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "train/files.h"
#include "train/image.h"

namespace gesso {

struct PngLimits {
  std::int64_t max_side = 16384;
  std::int64_t max_pixels = std::int64_t{64} << 20;
};

// Reads any PNG: palettes, 1 to 16 bits, interlaced; alpha is laid over white. Grey stays one channel, all else becomes
// three. Throws ErrorKind::data, starting with `source`, on what is damaged or above the limits.
Image decode_png(std::span<const std::byte> bytes, const std::string& source, const PngLimits& limits = {});
Image read_png(const Path& path, const PngLimits& limits = {});

using PngText =
    std::map<std::string, std::string>;  // keyword (1 to 79 ASCII letters) to text (UTF-8), as in PNG's iTXt chunk
std::vector<std::byte> encode_png(const Image& image, const PngText& text = {});
void write_png(const Path& path, const Image& image, const PngText& text = {});

}  // namespace gesso
