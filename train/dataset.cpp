#include "train/dataset.h"

#include <utility>

#include "core/error.h"
#include "core/thread_pool.h"

namespace gesso {

Dataset::Dataset(Info info) : info_(std::move(info)) {}

void Dataset::read(std::int64_t index, std::span<std::uint8_t> image, std::int32_t& label) const {
  if (index < 0 || index >= size()) fail("{}: no picture {}; there are {}", name(), index, size());
  if (image.size() != static_cast<std::size_t>(image_shape().count()))
    fail("{}: {} bytes were given for a picture of {}", name(), image.size(), image_shape().text());
  read_checked(index, image, label);
}

Image Dataset::image(std::int64_t index) const {
  Image result(image_shape());
  std::int32_t label = 0;
  read(index, result.pixels, label);
  return result;
}

PixelStatistics pixel_statistics(const Dataset& dataset) {
  constexpr std::int64_t kImagesAChunk = 256;
  struct Sums {
    std::uint64_t values = 0, squares = 0;
  };
  const std::int64_t n = dataset.size();
  std::vector<Sums> chunks(static_cast<std::size_t>((n + kImagesAChunk - 1) / kImagesAChunk));
  parallel_for(thread_pool(), n, kImagesAChunk, [&](std::int64_t begin, std::int64_t end) {
    Sums& sums = chunks[static_cast<std::size_t>(begin / kImagesAChunk)];
    for (std::int64_t i = begin; i < end; ++i)
      for (const std::uint64_t value : dataset.image(i).pixels) {
        sums.values += value;
        sums.squares += value * value;
      }
  });
  Sums all;
  for (const Sums& sums : chunks) {
    all.values += sums.values;
    all.squares += sums.squares;
  }
  const double count = static_cast<double>(n * dataset.image_shape().count());
  if (count == 0) return {};
  const double mean = static_cast<double>(all.values) / count;
  const double mean_square = static_cast<double>(all.squares) / count;
  return {mean / 255.0, (mean_square - mean * mean) / (255.0 * 255.0)};
}

}  // namespace gesso
