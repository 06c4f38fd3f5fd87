// Picture files of any kind that gesso reads, told apart by their first bytes, never by their names.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "train/files.h"
#include "train/image.h"

namespace gesso {

// PNG (train/png.h) or JPEG (train/jpeg.h), to T's bits (u8 or u16), upright, over white; one channel where it is grey,
// else three. Throws ErrorKind::data, starting with `source`, on anything else, on damage, and above the limits.
template <class T = std::uint8_t>
BasicImage<T> decode_picture(std::span<const std::byte> bytes, const std::string& source,
                             const PictureLimits& limits = {});
template <class T = std::uint8_t>
BasicImage<T> read_picture(const Path& path, const PictureLimits& limits = {});

inline constexpr std::size_t kMaxPictureBytes = std::size_t{1} << 30;  // of a file

// The ending of a file's name in lower case, with its dot (".png").
std::string ending_of(const Path& path);

// Whether the file starts as PNG or JPEG does.
bool looks_like_picture(const Path& path);

}  // namespace gesso
