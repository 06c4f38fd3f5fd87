#include "train/metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/error.h"

namespace gesso {
namespace {

template <class T>
std::vector<double> to_unit_range(std::span<const T> pixels) {
  std::vector<double> values(pixels.size());
  std::ranges::transform(pixels, values.begin(), [](T pixel) { return pixel / double{BasicImage<T>::kWhite}; });
  return values;
}

void check_same_size(std::string_view who, std::size_t a, std::size_t b) {
  if (a != b || a == 0) fail("{}: pictures of {} and {} values; both must have the same number, at least 1", who, a, b);
}

// Squares of differences of 16 bits: their sum is exact up to 2^31 values.
template <class T>
double pixel_error(std::span<const T> a, std::span<const T> b) {
  check_same_size("mean squared error", a.size(), b.size());
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::int64_t difference = std::int64_t{a[i]} - b[i];
    sum += difference * difference;
  }
  constexpr double kWhite = BasicImage<T>::kWhite;
  return static_cast<double>(sum) / (kWhite * kWhite * static_cast<double>(a.size()));
}

// Weights of a Gaussian with sigma 1.5, sum 1.
std::vector<double> gaussian(int size) {
  constexpr double kSigma = 1.5;
  std::vector<double> weights(static_cast<std::size_t>(size));
  double sum = 0;
  for (int i = 0; i < size; ++i) {
    const double distance = i - (size - 1) / 2;
    sum += weights[static_cast<std::size_t>(i)] = std::exp(-distance * distance / (2 * kSigma * kSigma));
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

struct Plane {
  std::size_t height = 0, width = 0;
  std::vector<double> values;  // [H,W]

  Plane(std::size_t h, std::size_t w) : height(h), width(w), values(h * w) {}
  double& at(std::size_t y, std::size_t x) { return values[y * width + x]; }
  double at(std::size_t y, std::size_t x) const { return values[y * width + x]; }
};

// Weighted means over all windows that fit, along rows and then along columns.
Plane filtered(const Plane& plane, const std::vector<double>& weights) {
  const std::size_t lost = weights.size() - 1;
  Plane rows(plane.height, plane.width - lost), result(plane.height - lost, plane.width - lost);
  for (std::size_t y = 0; y < rows.height; ++y)
    for (std::size_t x = 0; x < rows.width; ++x)
      for (std::size_t k = 0; k < weights.size(); ++k) rows.at(y, x) += weights[k] * plane.at(y, x + k);
  for (std::size_t y = 0; y < result.height; ++y)
    for (std::size_t k = 0; k < weights.size(); ++k)
      for (std::size_t x = 0; x < result.width; ++x) result.at(y, x) += weights[k] * rows.at(y + k, x);
  return result;
}

Plane product(const Plane& a, const Plane& b) {
  Plane result(a.height, a.width);
  std::ranges::transform(a.values, b.values, result.values.begin(), std::multiplies<>());
  return result;
}

Plane channel_of(std::span<const double> image, const ImageShape& shape, std::int64_t channel) {
  Plane plane(static_cast<std::size_t>(shape.height), static_cast<std::size_t>(shape.width));
  for (std::size_t i = 0; i < plane.values.size(); ++i)
    plane.values[i] = image[i * static_cast<std::size_t>(shape.channels) + static_cast<std::size_t>(channel)];
  return plane;
}

double mean_ssim(const Plane& a, const Plane& b, const std::vector<double>& weights) {
  constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;
  const Plane mean_a = filtered(a, weights), mean_b = filtered(b, weights);
  const Plane aa = filtered(product(a, a), weights), bb = filtered(product(b, b), weights),
              ab = filtered(product(a, b), weights);
  double sum = 0;
  for (std::size_t i = 0; i < mean_a.values.size(); ++i) {
    const double ma = mean_a.values[i], mb = mean_b.values[i];
    const double variance_a = aa.values[i] - ma * ma, variance_b = bb.values[i] - mb * mb;
    const double covariance = ab.values[i] - ma * mb;
    sum += (2 * ma * mb + kC1) * (2 * covariance + kC2) / ((ma * ma + mb * mb + kC1) * (variance_a + variance_b + kC2));
  }
  return sum / static_cast<double>(mean_a.values.size());
}

}  // namespace

double mean_squared_error(std::span<const double> a, std::span<const double> b) {
  check_same_size("mean squared error", a.size(), b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

double mean_squared_error(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  return pixel_error(a, b);
}
double mean_squared_error(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
  return pixel_error(a, b);
}

double psnr(double mean_squared_error) {
  return mean_squared_error > 0 ? -10 * std::log10(mean_squared_error) : std::numeric_limits<double>::infinity();
}

Ssim ssim(std::span<const double> a, std::span<const double> b, const ImageShape& shape) {
  check_same_size("ssim", a.size(), b.size());
  if (static_cast<std::int64_t>(a.size()) != shape.count())
    fail("ssim: {} values were given for pictures of {}", a.size(), shape.text());
  constexpr std::int64_t kWindow = 11;
  const std::int64_t largest = std::min({kWindow, shape.height, shape.width});
  const int window = static_cast<int>(largest % 2 == 1 ? largest : largest - 1);
  const std::vector<double> weights = gaussian(window);
  double sum = 0;
  for (std::int64_t channel = 0; channel < shape.channels; ++channel)
    sum += mean_ssim(channel_of(a, shape, channel), channel_of(b, shape, channel), weights);
  return {sum / static_cast<double>(shape.channels), window};
}

Ssim ssim(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, const ImageShape& shape) {
  return ssim(to_unit_range(a), to_unit_range(b), shape);
}
Ssim ssim(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b, const ImageShape& shape) {
  return ssim(to_unit_range(a), to_unit_range(b), shape);
}

CodeUsage::CodeUsage(std::int64_t codebook_size) {
  if (codebook_size < 1) fail("code usage: {} codes; expected at least 1", codebook_size);
  counts_.resize(static_cast<std::size_t>(codebook_size));
}

void CodeUsage::add(std::span<const std::int32_t> codes) {
  for (const std::int32_t code : codes)
    if (code < 0 || code >= static_cast<std::int64_t>(counts_.size()))
      fail("code usage: code {} is outside a codebook of {}", code, counts_.size());
  for (const std::int32_t code : codes) ++counts_[static_cast<std::size_t>(code)];
  counted_ += std::ssize(codes);
}

double CodeUsage::usage() const {
  const auto used = std::ranges::count_if(counts_, [](std::int64_t n) { return n > 0; });
  return static_cast<double>(used) / static_cast<double>(counts_.size());
}

double CodeUsage::entropy_bits() const {
  double bits = 0;
  for (const std::int64_t n : counts_) {
    const double share = static_cast<double>(n) / static_cast<double>(std::max<std::int64_t>(counted_, 1));
    if (n > 0) bits -= share * std::log2(share);
  }
  return bits;
}

double CodeUsage::perplexity() const { return counted_ == 0 ? 0 : std::exp2(entropy_bits()); }

}  // namespace gesso
