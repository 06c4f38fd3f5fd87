#include "train/comparison.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "train/data_loader.h"
#include "train/grid.h"

namespace gesso {
namespace {

constexpr std::int64_t kMostColumns = 8;

std::int64_t shown_channels(std::int64_t channels) { return channels < 3 ? 1 : 3; }

std::int64_t columns_of(std::int64_t pictures) { return std::min(kMostColumns, pictures); }

// For so many places in rows of `columns`.
GridOptions enlarged(std::int64_t places, std::int64_t columns, const ImageShape& shape) {
  constexpr std::int64_t kVisiblePixels = 96;
  GridOptions options{.columns = columns,
                      .scale = std::max<std::int64_t>(1, kVisiblePixels / std::max(shape.height, shape.width))};
  while (options.scale > 1 && !can_be_picture(grid_shape(places, shape, options))) --options.scale;
  return options;
}

// Pictures on their way into a grid, row by row.
template <class T>
class Rows {
 public:
  explicit Rows(const std::vector<BasicImage<T>>& pictures)
      : shape_(pictures.front().shape), columns_(columns_of(std::ssize(pictures))) {}

  std::int64_t columns() const { return columns_; }
  // The row that starts with picture `begin`; white where there are no more.
  void append(const std::vector<BasicImage<T>>& pictures, std::int64_t begin) {
    const std::int64_t end = std::min(begin + columns_, std::ssize(pictures));
    for (std::int64_t i = begin; i < end; ++i) append(pictures[static_cast<std::size_t>(i)]);
    const std::int64_t missing = (begin + columns_ - end) * shape_.height * shape_.width;
    values_.resize(values_.size() + static_cast<std::size_t>(missing * shown_channels(shape_.channels)),
                   BasicImage<T>::kWhite);
  }
  BasicImage<T> grid() const {
    const ImageShape shape{shape_.height, shape_.width, shown_channels(shape_.channels)};
    const std::int64_t places = std::ssize(values_) / shape.count();
    return make_grid(std::span<const T>(values_), shape, enlarged(places, columns_, shape));
  }

 private:
  void append(const BasicImage<T>& picture) {
    if (picture.shape != shape_)
      fail("grid: a picture of {} among pictures of {}; give pictures of one size", picture.shape.text(),
           shape_.text());
    const std::int64_t channels = shape_.channels, shown = shown_channels(channels);
    for (std::size_t i = 0; i < picture.pixels.size(); i += static_cast<std::size_t>(channels))
      values_.insert(values_.end(), &picture.pixels[i], &picture.pixels[i] + shown);
  }

  ImageShape shape_;
  std::int64_t columns_;
  std::vector<T> values_;  // [pictures,H,W,shown channels]
};

}  // namespace

Tensor read_images(const Dataset& data, std::int64_t begin, std::int64_t count, Device& device) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), begin);
  const Batch batch = read_batch(data, std::move(indices));
  const ImageShape& shape = data.image_shape();
  return Tensor::from_host_bytes(std::as_bytes(std::span(batch.images)),
                                 {{count, shape.height, shape.width, shape.channels}, data.dtype()}, device);
}

void check_grid(GridKind kind, std::int64_t count, const ImageShape& shape, std::string_view remedy) {
  if (count < 1) return;
  const std::int64_t columns = columns_of(count), rows = (count + columns - 1) / columns;
  const std::int64_t places = rows * columns * (kind == GridKind::comparison ? 2 : 1);
  check_can_be_picture("grid", places, shape, grid_shape(places, shape, enlarged(places, columns, shape)), remedy);
}

template <class T>
BasicImage<T> picture_grid(const std::vector<BasicImage<T>>& pictures) {
  if (pictures.empty()) fail("grid: there is no picture");
  Rows<T> rows(pictures);
  for (std::int64_t begin = 0; begin < std::ssize(pictures); begin += rows.columns()) rows.append(pictures, begin);
  return rows.grid();
}
template Image picture_grid(const std::vector<Image>&);
template Image16 picture_grid(const std::vector<Image16>&);

template <class T>
BasicImage<T> comparison_grid(const std::vector<BasicImage<T>>& before, const std::vector<BasicImage<T>>& after) {
  if (before.empty() || before.size() != after.size())
    fail("grid: {} pictures before and {} after the model", before.size(), after.size());
  Rows<T> rows(before);
  for (std::int64_t begin = 0; begin < std::ssize(before); begin += rows.columns()) {
    rows.append(before, begin);
    rows.append(after, begin);
  }
  return rows.grid();
}
template Image comparison_grid(const std::vector<Image>&, const std::vector<Image>&);
template Image16 comparison_grid(const std::vector<Image16>&, const std::vector<Image16>&);

std::int64_t most_triptychs(const ImageShape& shape, std::int64_t most) {
  constexpr std::int64_t kRows = 3;
  while (most > 0 && !can_be_picture(grid_shape(kRows * most, shape, enlarged(kRows * most, most, shape)))) --most;
  return most;
}

Image triptych_grid(const std::vector<Image>& before, const std::vector<Image>& after) {
  if (before.empty() || before.size() != after.size() || std::ssize(before) > kMostColumns)
    fail("triptychs: {} pictures before and {} after the model; expected as many, from 1 to {}", before.size(),
         after.size(), kMostColumns);
  std::vector<Image> difference = before;
  for (std::size_t i = 0; i < difference.size(); ++i) {
    if (after[i].shape != before[i].shape)
      fail("triptychs: a picture of {} was made of one of {}", after[i].shape.text(), before[i].shape.text());
    std::ranges::transform(before[i].pixels, after[i].pixels, difference[i].pixels.begin(), [](int a, int b) {
      return static_cast<std::uint8_t>(std::min(kDifferenceShown * std::abs(a - b), int{Image::kWhite}));
    });
  }
  Rows<std::uint8_t> rows(before);
  rows.append(before, 0);
  rows.append(after, 0);
  rows.append(difference, 0);
  return rows.grid();
}

}  // namespace gesso
