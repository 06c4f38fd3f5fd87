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

// Reads any PNG: palettes, 1 to 16 bits, interlaced, to T's bits (u8 or u16, where 16 bits keep all of theirs); alpha
// is laid over white, and an eXIf chunk turns the picture upright. Grey stays one channel, all else becomes three.
// Throws ErrorKind::data, starting with `source`, on what is damaged or above the limits.
template <class T = std::uint8_t>
BasicImage<T> decode_png(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits = {});

// What decode_png's result has before it is turned upright, from the header alone. Throws as that does.
ImageShape png_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits = {});

using PngText =
    std::map<std::string, std::string>;  // keyword (1 to 79 ASCII letters) to text (UTF-8), as in PNG's iTXt chunk
// Of 8 or 16 bits, as the picture has them.
template <class T>
std::vector<std::byte> encode_png(const BasicImage<T>& image, const PngText& text = {});
template <class T>
void write_png(const Path& path, const BasicImage<T>& image, const PngText& text = {});

}  // namespace gesso
