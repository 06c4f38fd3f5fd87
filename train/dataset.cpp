#include "train/dataset.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/thread_pool.h"

namespace gesso {

std::optional<SizeRange> united(const std::optional<SizeRange>& a, const std::optional<SizeRange>& b) {
  if (!a || !b) return a ? a : b;
  const auto each = [](const ImageShape& x, const ImageShape& y, const auto& of) {
    return ImageShape{of(x.height, y.height), of(x.width, y.width), of(x.channels, y.channels)};
  };
  const auto least = [](std::int64_t x, std::int64_t y) { return std::min(x, y); };
  const auto most = [](std::int64_t x, std::int64_t y) { return std::max(x, y); };
  return SizeRange{each(a->least, b->least, least), each(a->most, b->most, most)};
}

Dataset::Dataset(Info info) : info_(std::move(info)) {}

namespace {

// Exchanges left and right in the rows of [H,W] pixels.
void mirror(std::span<std::uint8_t> image, std::size_t row_bytes, std::size_t pixel_bytes) {
  for (std::size_t row = 0; row < image.size(); row += row_bytes) {
    std::uint8_t* left = image.data() + row;
    std::uint8_t* right = left + row_bytes - pixel_bytes;
    for (; left < right; left += pixel_bytes, right -= pixel_bytes) std::swap_ranges(left, left + pixel_bytes, right);
  }
}

}  // namespace

void Dataset::read(std::int64_t index, const View& view, std::span<std::uint8_t> image, std::int32_t& label) const {
  if (index < 0 || index >= size()) fail("{}: no picture {}; there are {}", name(), index, size());
  if (image.size() != image_bytes())
    fail("{}: {} bytes were given for a picture of {} {}", name(), image.size(), image_shape().text(),
         name_of(dtype()));
  read_checked(index, view, image, label);
  const std::size_t pixel_bytes = static_cast<std::size_t>(image_shape().channels) * size_of(dtype());
  if (view.flip) mirror(image, static_cast<std::size_t>(image_shape().width) * pixel_bytes, pixel_bytes);
}

std::optional<std::int64_t> Dataset::sample_at(std::int64_t place) const {
  const auto gap = std::ranges::lower_bound(info_.gaps, place);
  if (gap != info_.gaps.end() && *gap == place) return std::nullopt;
  return place - (gap - info_.gaps.begin());
}

Image Dataset::image(std::int64_t index) const {
  std::int32_t label = 0;
  return image(index, View(), label);
}

Image Dataset::image(std::int64_t index, const View& view, std::int32_t& label) const {
  if (dtype() == DType::u8) {
    Image result(image_shape());
    read(index, view, result.pixels, label);
    return result;
  }
  Image16 wide(image_shape());
  read(index, view, {reinterpret_cast<std::uint8_t*>(wide.pixels.data()), image_bytes()}, label);
  return to_8_bits(wide);
}

namespace {

// Squares of 16 bits would overflow 64 bits after 2^32 values; one picture's never do.
struct Sums {
  std::uint64_t values = 0, squares = 0, squares_high = 0;

  void add(const Sums& other) {
    values += other.values;
    squares += other.squares;
    squares_high += other.squares_high + (squares < other.squares ? 1 : 0);
  }
};

template <class T>
Sums sums_of(std::span<const std::uint8_t> bytes) {
  Sums sums;
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    sums.values += value;
    sums.squares += std::uint64_t{value} * value;
  }
  return sums;
}

}  // namespace

PixelStatistics pixel_statistics(const Dataset& dataset) {
  constexpr std::int64_t kImagesAChunk = 256;
  const std::int64_t n = dataset.size();
  std::vector<Sums> chunks(static_cast<std::size_t>((n + kImagesAChunk - 1) / kImagesAChunk));
  parallel_for(thread_pool(), n, kImagesAChunk, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> image(dataset.image_bytes());
    std::int32_t label = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      dataset.read(i, image, label);
      chunks[static_cast<std::size_t>(begin / kImagesAChunk)].add(
          dataset.dtype() == DType::u8 ? sums_of<std::uint8_t>(image) : sums_of<std::uint16_t>(image));
    }
  });
  Sums all;
  for (const Sums& sums : chunks) all.add(sums);
  const double count = static_cast<double>(n * dataset.image_shape().count());
  if (count == 0) return {};
  const double white = full_range(dataset.dtype());
  const double mean = static_cast<double>(all.values) / count;
  const double squares = static_cast<double>(all.squares_high) * 0x1p64 + static_cast<double>(all.squares);
  return {mean / white, (squares / count - mean * mean) / (white * white)};
}

}  // namespace gesso
