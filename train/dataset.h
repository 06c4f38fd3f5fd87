// What a data set is: numbered pictures of one shape with class labels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "train/image.h"

namespace gesso {

enum class Split : std::uint8_t { train, validation };

// How a picture is looked at: where its crop lies in what is larger (0: at the top or left, towards 1: at the bottom or
// right), and whether left and right are exchanged. The default is what evaluation sees.
struct View {
  double y = 0.5, x = 0.5;  // in [0, 1)
  bool flip = false;
};

// The least and the most of each side.
struct SizeRange {
  ImageShape least, most;
};
// Of both together.
std::optional<SizeRange> united(const std::optional<SizeRange>& a, const std::optional<SizeRange>& b);

class Dataset {
 public:
  struct Info {
    std::string name;
    std::int64_t size = 0;
    ImageShape image_shape;
    std::vector<std::string> class_names;
    DType dtype = DType::u8;             // of a value of a picture: u8 or u16
    std::string identity{};              // of all that the pixels depend on (see file_stamp); empty: not known
    std::vector<std::string> skipped{};  // files that cannot be used, each with the reason, on one line
    // Files are listed before anybody knows which can be used: the places in that list of those that cannot, rising.
    // The samples stand at the others, in order.
    std::vector<std::int64_t> gaps{};
    // A hash of the samples and labels in order, wherever they lie: of pixels, or of files with their names. Samples
    // that are made by a rule have none.
    std::optional<std::uint64_t> contents{};
    std::int64_t left_out = 0;          // files among the others that are no pictures, and not meant as such
    std::optional<SizeRange> stored{};  // of samples with files of their own, as they lie there: not yet upright
    std::vector<std::string> runs{};    // folders among the files that gesso train made, left out with all in them
  };
  virtual ~Dataset() = default;

  const std::string& name() const { return info_.name; }
  std::int64_t size() const { return info_.size; }
  const ImageShape& image_shape() const { return info_.image_shape; }
  DType dtype() const { return info_.dtype; }
  std::size_t image_bytes() const { return static_cast<std::size_t>(image_shape().count()) * size_of(dtype()); }
  std::int64_t classes() const { return static_cast<std::int64_t>(info_.class_names.size()); }
  const std::string& class_name(std::int64_t label) const {
    return info_.class_names.at(static_cast<std::size_t>(label));
  }

  const std::string& identity() const { return info_.identity; }
  const std::vector<std::string>& skipped() const { return info_.skipped; }
  std::optional<std::uint64_t> contents() const { return info_.contents; }
  std::int64_t left_out() const { return info_.left_out; }
  const std::optional<SizeRange>& stored() const { return info_.stored; }
  const std::vector<std::string>& runs() const { return info_.runs; }

  // Of the list that training goes through: the samples, and the gaps between them. Which files turn out to be bad
  // moves no other one in it.
  std::int64_t places() const { return size() + static_cast<std::int64_t>(info_.gaps.size()); }
  // none: a gap.
  std::optional<std::int64_t> sample_at(std::int64_t place) const;

  // Fills image, the bytes of [H,W,C] in the machine's order, and label. Safe to call from several threads; the same
  // every time. Throws on an index outside the set and on a span of another size.
  void read(std::int64_t index, const View& view, std::span<std::uint8_t> image, std::int32_t& label) const;
  void read(std::int64_t index, std::span<std::uint8_t> image, std::int32_t& label) const {
    read(index, View(), image, label);
  }
  // To look at: 16 bits are rounded to 8.
  Image image(std::int64_t index) const;
  Image image(std::int64_t index, const View& view, std::int32_t& label) const;

 protected:
  explicit Dataset(Info info);
  // view: its crop, for sets that have more than they show; the flip is done by read().
  virtual void read_checked(std::int64_t index, const View& view, std::span<std::uint8_t> image,
                            std::int32_t& label) const = 0;

 private:
  Info info_;
};

// The value that is white, of pictures of this type.
constexpr double full_range(DType dtype) { return dtype == DType::u16 ? 65535 : 255; }

// Over all values of all pictures, in units of the full range: white is 1. Exact sums, so the same for any
// thread count.
struct PixelStatistics {
  double mean = 0, variance = 0;
};
PixelStatistics pixel_statistics(const Dataset& dataset);

}  // namespace gesso
