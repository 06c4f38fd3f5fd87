// How near one picture is to another, and how well a codebook is used.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/image.h"

namespace gesso {

// Of values in [0,1]; pixels of 8 or 16 bits count as value / 255 or value / 65535.
double mean_squared_error(std::span<const double> a, std::span<const double> b);
double mean_squared_error(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b);
double mean_squared_error(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b);

// Peak signal-to-noise ratio in dB for a peak of 1; infinite where the error is 0.
double psnr(double mean_squared_error);

struct Ssim {
  double value = 0;  // mean over channels and positions; 1: the same picture
  int window = 0;    // side of the window that was used
};
// Structural similarity (Wang et al. 2004, "Image quality assessment"): Gaussian window of 11x11, sigma 1.5, K1 0.01,
// K2 0.03, each channel on its own, only where the window fits. A picture smaller than 11 gets the largest odd window
// that fits it.
Ssim ssim(std::span<const double> a, std::span<const double> b, const ImageShape& shape);
Ssim ssim(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, const ImageShape& shape);
Ssim ssim(std::span<const std::uint16_t> a, std::span<const std::uint16_t> b, const ImageShape& shape);

// Counts how often each code of a codebook occurs.
class CodeUsage {
 public:
  explicit CodeUsage(std::int64_t codebook_size);
  // Throws on a code outside the codebook, before anything is counted.
  void add(std::span<const std::int32_t> codes);

  std::int64_t counted() const { return counted_; }
  const std::vector<std::int64_t>& counts() const { return counts_; }  // of each code
  double usage() const;                                                // share of the codebook that occurs
  double entropy_bits() const;                                         // of one code, in bits
  double perplexity() const;  // 2^entropy: the number of equally likely codes of that entropy; 0 of nothing

 private:
  std::vector<std::int64_t> counts_;  // [codebook]
  std::int64_t counted_ = 0;
};

}  // namespace gesso
