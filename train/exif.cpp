#include "train/exif.h"

#include <algorithm>

namespace gesso {
namespace {

// A TIFF block: every read is checked, and gives 0 behind the end.
class Tiff {
 public:
  explicit Tiff(std::span<const std::byte> bytes) : bytes_(bytes) {
    big_endian_ = byte(0) == 'M' && byte(1) == 'M';
    const bool little_endian = byte(0) == 'I' && byte(1) == 'I';
    constexpr std::uint32_t kMagic = 42;
    valid_ = (big_endian_ || little_endian) && number(2, 2) == kMagic;
  }
  bool valid() const { return valid_; }
  std::uint32_t number(std::uint64_t at, std::uint64_t size) const {
    std::uint32_t value = 0;
    for (std::uint64_t i = 0; i < size; ++i) value = value << 8 | byte(big_endian_ ? at + i : at + size - 1 - i);
    return value;
  }

 private:
  std::uint32_t byte(std::uint64_t at) const {
    return at < bytes_.size() ? std::to_integer<std::uint32_t>(bytes_[at]) : 0;
  }

  std::span<const std::byte> bytes_;
  bool big_endian_ = false, valid_ = false;
};

}  // namespace

Orientation exif_orientation(std::span<const std::byte> tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3;
  constexpr std::uint64_t kEntryBytes = 12;
  const Tiff block(tiff);
  if (!block.valid()) return Orientation::top_left;
  const std::uint64_t directory = block.number(4, 4);
  const std::uint64_t entries = block.number(directory, 2);  // at most 65535
  for (std::uint64_t i = 0; i < entries; ++i) {
    const std::uint64_t entry = directory + 2 + i * kEntryBytes;
    if (block.number(entry, 2) != kOrientation) continue;
    const std::uint32_t value = block.number(entry + 8, 2);
    const bool sensible =
        block.number(entry + 2, 2) == kShort && block.number(entry + 4, 4) == 1 && value >= 1 && value <= 8;
    return sensible ? static_cast<Orientation>(value) : Orientation::top_left;
  }
  return Orientation::top_left;
}

template <class T>
BasicImage<T> upright(BasicImage<T> stored, Orientation orientation) {
  if (orientation == Orientation::top_left) return stored;
  const std::int64_t H = stored.shape.height, W = stored.shape.width, C = stored.shape.channels;
  const bool sideways = orientation >= Orientation::left_top;
  using enum Orientation;
  const bool from_bottom = orientation == bottom_right || orientation == bottom_left || orientation == right_top ||
                           orientation == right_bottom;
  const bool from_right = orientation == top_right || orientation == bottom_right || orientation == right_bottom ||
                          orientation == left_bottom;
  BasicImage<T> seen({sideways ? W : H, sideways ? H : W, C});
  T* to = seen.pixels.data();
  for (std::int64_t y = 0; y < seen.shape.height; ++y)
    for (std::int64_t x = 0; x < seen.shape.width; ++x, to += C) {
      const std::int64_t row = sideways ? x : y, column = sideways ? y : x;
      const std::int64_t from = (from_bottom ? H - 1 - row : row) * W + (from_right ? W - 1 - column : column);
      std::copy_n(stored.pixels.data() + from * C, C, to);
    }
  return seen;
}
template Image upright(Image, Orientation);
template Image16 upright(Image16, Orientation);

}  // namespace gesso
