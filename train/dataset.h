// What a data set is: numbered pictures of one shape with class labels.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/image.h"

namespace gesso {

enum class Split : std::uint8_t { train, validation };

class Dataset {
 public:
  struct Info {
    std::string name;
    std::int64_t size = 0;
    ImageShape image_shape;
    std::vector<std::string> class_names;
  };
  virtual ~Dataset() = default;

  const std::string& name() const { return info_.name; }
  std::int64_t size() const { return info_.size; }
  const ImageShape& image_shape() const { return info_.image_shape; }
  std::int64_t classes() const { return static_cast<std::int64_t>(info_.class_names.size()); }
  const std::string& class_name(std::int64_t label) const {
    return info_.class_names.at(static_cast<std::size_t>(label));
  }

  // Fills image [H,W,C] and label. Safe to call from several threads; the same every time. Throws on an index outside
  // the set and on a span of another size.
  void read(std::int64_t index, std::span<std::uint8_t> image, std::int32_t& label) const;
  Image image(std::int64_t index) const;

 protected:
  explicit Dataset(Info info);
  virtual void read_checked(std::int64_t index, std::span<std::uint8_t> image, std::int32_t& label) const = 0;

 private:
  Info info_;
};

// Over all values of all pictures, in units of the full range: a value of 255 is 1. Exact sums, so the same for any
// thread count.
struct PixelStatistics {
  double mean = 0, variance = 0;
};
PixelStatistics pixel_statistics(const Dataset& dataset);

}  // namespace gesso
