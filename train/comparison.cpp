#include "train/comparison.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "train/data_loader.h"
#include "train/grid.h"

namespace gesso {
namespace {

constexpr std::int64_t kColumns = 8;

void append(std::vector<std::uint8_t>& pixels, const std::vector<Image>& pictures, std::size_t begin,
            const ImageShape& shape) {
  const std::size_t end = std::min(begin + kColumns, pictures.size());
  for (std::size_t i = begin; i < end; ++i) {
    if (pictures[i].shape != shape)
      fail("grid: a picture of {} among pictures of {}", pictures[i].shape.text(), shape.text());
    pixels.insert(pixels.end(), pictures[i].pixels.begin(), pictures[i].pixels.end());
  }
  constexpr std::uint8_t kEmpty = 255;
  pixels.resize(pixels.size() + static_cast<std::size_t>(shape.count()) * (begin + kColumns - end), kEmpty);
}

}  // namespace

Tensor image_tensor(const std::vector<Image>& pictures, Device& device) {
  if (pictures.empty()) fail("there is no picture; name at least one");
  const ImageShape& shape = pictures.front().shape;
  std::vector<std::uint8_t> pixels;
  for (const Image& picture : pictures) {
    if (picture.shape != shape)
      fail("pictures of {} and {} cannot be one batch; give pictures of one size", shape.text(), picture.shape.text());
    pixels.insert(pixels.end(), picture.pixels.begin(), picture.pixels.end());
  }
  const auto count = static_cast<std::int64_t>(pictures.size());
  return Tensor::from_host(std::span<const std::uint8_t>(pixels), {count, shape.height, shape.width, shape.channels},
                           device);
}

Tensor read_images(const Dataset& data, std::int64_t begin, std::int64_t count, Device& device) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), begin);
  const Batch batch = read_batch(data, std::move(indices));
  const ImageShape& shape = data.image_shape();
  return Tensor::from_host_bytes(std::as_bytes(std::span(batch.images)),
                                 {{count, shape.height, shape.width, shape.channels}, data.dtype()}, device);
}

Image comparison_grid(const std::vector<Image>& before, const std::vector<Image>& after) {
  if (before.empty() || before.size() != after.size())
    fail("grid: {} pictures before and {} after the model", before.size(), after.size());
  const ImageShape& shape = before.front().shape;
  std::vector<std::uint8_t> pixels;
  for (std::size_t begin = 0; begin < before.size(); begin += kColumns) {
    append(pixels, before, begin, shape);
    append(pixels, after, begin, shape);
  }
  constexpr std::int64_t kVisiblePixels = 96;
  const std::int64_t scale = std::max<std::int64_t>(1, kVisiblePixels / std::max(shape.height, shape.width));
  return make_grid(pixels, shape, {.columns = kColumns, .scale = scale});
}

}  // namespace gesso
