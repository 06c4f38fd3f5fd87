// PNG by hand, so that what gesso never writes can be read.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>

namespace gesso {

inline std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift : {24, 16, 8, 0}) text += static_cast<char>(value >> shift);
  return text;
}
inline std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<std::uint32_t>(data.size())) + body + big_endian(static_cast<std::uint32_t>(crc));
}
inline std::string zlib_packed(const std::string& rows) {
  std::string packed(compressBound(rows.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()), rows.size());
  return packed.substr(0, size);
}

struct HandmadePng {
  std::uint32_t width, height;
  char depth, colour;       // colour: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha
  std::string rows;         // each starts with its filter, 0
  std::string before = "";  // chunks before the data
  char interlace = 0;
  std::string after = "";  // chunks behind the data
};
inline std::string handmade_png(const HandmadePng& p) {
  const std::string header =
      big_endian(p.width) + big_endian(p.height) + p.depth + p.colour + std::string(2, '\0') + p.interlace;
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header) + p.before + png_chunk("IDAT", zlib_packed(p.rows)) + p.after +
         png_chunk("IEND", "");
}

// An Exif block (without "Exif\0\0") that says nothing but this orientation.
inline std::string exif_block(char orientation, bool big = true) {
  using namespace std::string_literals;
  return big ? "MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"s + orientation + "\0\0\0\0\0\0"s
             : "II\x2A\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"s + orientation + "\0\0\0\0\0\0\0"s;
}

}  // namespace gesso
