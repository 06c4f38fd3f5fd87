// JPEG files, by libjpeg-turbo.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "train/image.h"

namespace gesso {

// Reads any JPEG that the library reads: baseline and progressive, grey (one channel), colour, CMYK (three channels),
// and turns it upright as its Exif says. Throws ErrorKind::data, starting with `source`, on what is damaged in any way
// (a mere warning of the library's included, as for a file that is cut off) or above the limits.
Image decode_jpeg(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits = {});

// What decode_jpeg's result has before it is turned upright, from the header alone. Throws as that does.
ImageShape jpeg_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits = {});

}  // namespace gesso
