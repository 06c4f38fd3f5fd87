// A small data set of any shape and either type of pixel: soft waves, a different one in each picture and channel.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "train/dataset.h"

namespace gesso {

class PatternDataset final : public Dataset {
 public:
  PatternDataset(const ImageShape& shape, std::int64_t size, DType dtype = DType::u8, bool has_classes = true)
      : Dataset({.name = "patterns",
                 .size = size,
                 .image_shape = shape,
                 .class_names = has_classes ? std::vector<std::string>{"even", "odd"} : std::vector<std::string>(),
                 .dtype = dtype}) {}

  // In [0,1].
  double value(std::int64_t index, std::int64_t y, std::int64_t x, std::int64_t channel) const {
    const double phase = 0.7 * static_cast<double>(index) + 1.3 * static_cast<double>(channel);
    const double wave =
        std::sin(0.45 * static_cast<double>(y) + phase) * std::cos(0.3 * static_cast<double>(x) - phase);
    return 0.5 + 0.5 * wave;
  }
  // As it is stored: value() rounded.
  double stored(std::int64_t index, std::int64_t y, std::int64_t x, std::int64_t channel) const {
    return std::round(value(index, y, x, channel) * full_range(dtype()));
  }

 protected:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    const ImageShape& s = image_shape();
    std::size_t at = 0;
    for (std::int64_t i = 0; i < s.count(); ++i) {
      const double pixel = stored(index, i / s.channels / s.width, i / s.channels % s.width, i % s.channels);
      const auto wide = static_cast<std::uint16_t>(pixel);
      const auto narrow = static_cast<std::uint8_t>(pixel);
      if (dtype() == DType::u16)
        std::memcpy(image.data() + at, &wide, sizeof wide);
      else
        image[at] = narrow;
      at += size_of(dtype());
    }
    label = static_cast<std::int32_t>(index % 2);
  }
};

}  // namespace gesso
