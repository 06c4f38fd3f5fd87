#include "train/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"

namespace gesso {
namespace {

// The old pixels that make up a new one.
struct Tap {
  std::int64_t first = 0;
  std::vector<double> weights;  // sum 1

  std::int64_t end() const { return first + std::ssize(weights); }
};

std::vector<Tap> taps(std::int64_t from, std::int64_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(step, 1.0);
  std::vector<Tap> all(static_cast<std::size_t>(to));
  for (std::int64_t i = 0; i < to; ++i) {
    Tap& tap = all[static_cast<std::size_t>(i)];
    const double centre = (static_cast<double>(i) + 0.5) * step;
    tap.first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(centre - reach)));
    const std::int64_t end = std::min(from, static_cast<std::int64_t>(std::ceil(centre + reach)));
    double sum = 0;
    for (std::int64_t k = tap.first; k < end; ++k) {
      const double distance = std::abs(static_cast<double>(k) + 0.5 - centre) / reach;
      tap.weights.push_back(std::max(0.0, 1 - distance));
      sum += tap.weights.back();
    }
    for (double& weight : tap.weights) weight /= sum;
  }
  return all;
}

// One row [W,C] of the picture to [width,C].
template <class T>
void narrow_row(const T* from, std::int64_t channels, const std::vector<Tap>& columns, std::vector<double>& row) {
  double* to = row.data();
  for (const Tap& tap : columns)
    for (std::int64_t c = 0; c < channels; ++c, ++to) {
      const T* value = from + tap.first * channels + c;
      *to = 0;
      for (const double weight : tap.weights) {
        *to += weight * *value;
        value += channels;
      }
    }
}

}  // namespace

template <class T>
BasicImage<T> resized(const BasicImage<T>& image, std::int64_t height, std::int64_t width) {
  const auto [H, W, C] = image.shape;
  if (height < 1 || width < 1 || H < 1 || W < 1)
    fail("resize: cannot make {}x{} of {}; at least one pixel is needed", height, width, image.shape.text());
  if (height == H && width == W) return image;
  const std::vector<Tap> columns = taps(W, width), rows = taps(H, height);
  const auto row_values = static_cast<std::size_t>(width * C);
  std::vector<double> row(row_values),
      sums(static_cast<std::size_t>(height) * row_values);  // [width,C], [height,width,C]
  std::size_t done = 0;                                     // new rows that are complete
  for (std::int64_t y = 0; y < H; ++y) {
    narrow_row(image.pixels.data() + y * W * C, C, columns, row);
    while (done < rows.size() && rows[done].end() <= y) ++done;
    for (std::size_t i = done; i < rows.size() && rows[i].first <= y; ++i)
      for (std::size_t k = 0; k < row_values; ++k)
        sums[i * row_values + k] += rows[i].weights[static_cast<std::size_t>(y - rows[i].first)] * row[k];
  }
  BasicImage<T> result({height, width, C});
  // Within the range but for rounding: weights are positive and their sum is 1.
  std::ranges::transform(sums, result.pixels.begin(), [](double sum) {
    return static_cast<T>(std::min(sum + 0.5, static_cast<double>(BasicImage<T>::kWhite)));
  });
  return result;
}
template Image resized(const Image&, std::int64_t, std::int64_t);
template Image16 resized(const Image16&, std::int64_t, std::int64_t);

template <class T>
BasicImage<T> resized_to_cover(const BasicImage<T>& image, std::int64_t size) {
  const auto& [H, W, C] = image.shape;
  const std::int64_t shorter = std::max<std::int64_t>(1, std::min(H, W));
  const auto scaled = [&](std::int64_t side) { return (side * size + shorter / 2) / shorter; };
  return resized(image, scaled(H), scaled(W));
}
template Image resized_to_cover(const Image&, std::int64_t);
template Image16 resized_to_cover(const Image16&, std::int64_t);

template <class T>
BasicImage<T> cropped(const BasicImage<T>& image, std::int64_t top, std::int64_t left, std::int64_t height,
                      std::int64_t width) {
  const auto [H, W, C] = image.shape;
  if (top < 0 || left < 0 || height < 1 || width < 1 || height > H - top || width > W - left)
    fail("crop: {}x{} from ({}, {}) on is not within a picture of {}", height, width, top, left, image.shape.text());
  BasicImage<T> result({height, width, C});
  for (std::int64_t y = 0; y < height; ++y)
    std::copy_n(image.pixels.data() + ((top + y) * W + left) * C, width * C, result.pixels.data() + y * width * C);
  return result;
}
template Image cropped(const Image&, std::int64_t, std::int64_t, std::int64_t, std::int64_t);
template Image16 cropped(const Image16&, std::int64_t, std::int64_t, std::int64_t, std::int64_t);

}  // namespace gesso
