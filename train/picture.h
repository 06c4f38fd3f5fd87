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

// The shape of what decode_picture would make of it, as stored: not yet upright. From the header alone; throws as that
// does.
ImageShape picture_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits = {});

inline constexpr std::size_t kMaxPictureBytes = std::size_t{1} << 30;  // of a file

// The ending of a file's name in lower case, with its dot (".png").
std::string ending_of(const Path& path);

// Pictures are written as PNG. Throws ErrorKind::usage where the name for one ends as those of another format do.
void check_named_for_png(const Path& out);

// Whether the file is meant to be a picture: by its name, or else because it starts as PNG or JPEG does.
bool is_meant_as_picture(const Path& path);

}  // namespace gesso
