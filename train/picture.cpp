#include "train/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>

#include "core/error.h"
#include "train/jpeg.h"
#include "train/png.h"

namespace gesso {
namespace {

using namespace std::string_view_literals;

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with(magic);
}
bool is_png(std::span<const std::byte> bytes) { return starts_with(bytes, "\x89PNG\r\n\x1A\n"sv); }
bool is_jpeg(std::span<const std::byte> bytes) { return starts_with(bytes, "\xFF\xD8\xFF"sv); }

[[noreturn]] void refuse(std::span<const std::byte> bytes, const std::string& source) {
  if (bytes.empty()) fail(ErrorKind::data, "{}: the file is empty", source);
  constexpr std::size_t kShown = 8;
  const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
  fail(ErrorKind::data, "{}: neither PNG nor JPEG; it starts with the bytes {:02x}", source,
       fmt::join(first, first + std::min(kShown, bytes.size()), " "));
}

}  // namespace

template <class T>
BasicImage<T> decode_picture(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  if (is_png(bytes)) return decode_png<T>(bytes, source, limits);
  if (!is_jpeg(bytes)) refuse(bytes, source);
  if constexpr (std::is_same_v<T, std::uint8_t>)
    return decode_jpeg(bytes, source, limits);
  else
    return to_16_bits(decode_jpeg(bytes, source, limits));
}
template Image decode_picture(std::span<const std::byte>, const std::string&, const PictureLimits&);
template Image16 decode_picture(std::span<const std::byte>, const std::string&, const PictureLimits&);

ImageShape picture_shape(std::span<const std::byte> bytes, const std::string& source, const PictureLimits& limits) {
  if (is_png(bytes)) return png_shape(bytes, source, limits);
  if (!is_jpeg(bytes)) refuse(bytes, source);
  return jpeg_shape(bytes, source, limits);
}

template <class T>
BasicImage<T> read_picture(const Path& path, const PictureLimits& limits) {
  return decode_picture<T>(read_file(path, kMaxPictureBytes), path.string(), limits);
}
template Image read_picture(const Path&, const PictureLimits&);
template Image16 read_picture(const Path&, const PictureLimits&);

std::string ending_of(const Path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return ending;
}

void check_named_for_png(const Path& out) {
  constexpr std::array kOthers = {".jpg",  ".jpeg", ".jpe", ".jfif", ".webp", ".gif",  ".bmp", ".tif",
                                  ".tiff", ".ppm",  ".pgm", ".pnm",  ".avif", ".heic", ".jxl", ".svg"};
  const std::string ending = ending_of(out);
  if (std::ranges::find(kOthers, ending) != kOthers.end())
    fail("{}: pictures are written as PNG, not as {}; give a name that ends in .png", out.string(), ending);
}

bool is_meant_as_picture(const Path& path) {
  if (const std::string ending = ending_of(path); ending == ".png" || ending == ".jpg" || ending == ".jpeg")
    return true;
  std::array<std::byte, 8> first{};
  const std::size_t size = OpenFile::to_read(posix_file_system(), path).read(first);
  const auto bytes = std::span<const std::byte>(first).first(size);
  return is_png(bytes) || is_jpeg(bytes);
}

}  // namespace gesso
