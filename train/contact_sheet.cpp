#include "train/contact_sheet.h"

#include <algorithm>

#include "core/error.h"
#include "train/font.h"
#include "train/grid.h"

namespace gesso {
namespace {

constexpr std::int64_t kPadding = 4;       // around pictures
constexpr std::int64_t kVisible = 72;      // pixels that a picture's shorter side takes at least: twelve letters
constexpr std::int64_t kLabelHeight = 10;  // a line of text and a pixel above and below

// Each pixel of the picture becomes scale x scale of the sheet.
void place(Image& sheet, const Image& picture, std::int64_t top, std::int64_t left, std::int64_t scale) {
  const auto [H, W, C] = picture.shape;
  for (std::int64_t y = 0; y < H * scale; ++y)
    for (std::int64_t x = 0; x < W * scale; ++x) {
      const std::uint8_t* from = picture.pixels.data() + (y / scale * W + x / scale) * C;
      std::uint8_t* to = sheet.pixels.data() + ((top + y) * sheet.shape.width + left + x) * 3;
      for (std::int64_t c = 0; c < 3; ++c) to[c] = from[C < 3 ? 0 : c];
    }
}

std::int64_t scale_for(const ImageShape& shape) {
  const std::int64_t shorter = std::min(shape.height, shape.width);
  return (kVisible + shorter - 1) / shorter;
}

}  // namespace

ImageShape contact_sheet_shape(std::int64_t count, const ImageShape& shape, std::int64_t columns) {
  if (count < 1 || columns < 1)
    fail("contact sheet: {} pictures in {} columns; expected at least one of each", count, columns);
  const std::int64_t scale = scale_for(shape), in_row = std::min(columns, count);
  const ImageShape whole{(count + in_row - 1) / in_row * (shape.height * scale + kLabelHeight + kPadding) + kPadding,
                         in_row * (shape.width * scale + kPadding) + kPadding, 3};
  check_can_be_picture("contact sheet", count, shape, whole, "show fewer (--count)");
  return whole;
}

Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& labels, std::int64_t columns) {
  if (pictures.size() != labels.size())
    fail("contact sheet: {} pictures, {} labels; expected as many", pictures.size(), labels.size());
  constexpr std::uint8_t kWhite = 255, kInk = 0;
  const std::int64_t count = std::ssize(pictures), in_row = std::min(columns, count);
  const ImageShape shape = pictures.empty() ? ImageShape() : pictures.front().shape;
  Image sheet(contact_sheet_shape(count, shape, columns), kWhite);
  const std::int64_t scale = scale_for(shape);
  const std::int64_t width = shape.width * scale, height = shape.height * scale;
  const std::int64_t row_step = height + kLabelHeight + kPadding, column_step = width + kPadding;
  for (std::int64_t i = 0; i < count; ++i) {
    const Image& picture = pictures[static_cast<std::size_t>(i)];
    if (picture.shape != shape)
      fail("contact sheet: a picture of {} among pictures of {}", picture.shape.text(), shape.text());
    const std::int64_t top = i / in_row * row_step + kPadding, left = i % in_row * column_step + kPadding;
    place(sheet, picture, top, left, scale);
    const auto letters = static_cast<std::size_t>((width + kLetterStep - kLetterWidth) / kLetterStep);
    draw_text(sheet, top + height + 1, left, std::string_view(labels[static_cast<std::size_t>(i)]).substr(0, letters),
              kInk);
  }
  return sheet;
}

}  // namespace gesso
