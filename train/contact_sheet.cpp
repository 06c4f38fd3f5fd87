#include "train/contact_sheet.h"

#include <algorithm>

#include "core/error.h"
#include "train/font.h"

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

}  // namespace

Image contact_sheet(const std::vector<Image>& pictures, const std::vector<std::string>& labels, std::int64_t columns) {
  if (pictures.empty() || pictures.size() != labels.size() || columns < 1)
    fail("contact sheet: {} pictures, {} labels and {} columns; expected as many labels as pictures, and at least one",
         pictures.size(), labels.size(), columns);
  constexpr std::uint8_t kWhite = 255, kInk = 0;
  const ImageShape& shape = pictures.front().shape;
  const std::int64_t shorter = std::min(shape.height, shape.width), scale = (kVisible + shorter - 1) / shorter;
  const std::int64_t count = std::ssize(pictures), in_row = std::min(columns, count);
  const std::int64_t width = shape.width * scale, height = shape.height * scale;
  const std::int64_t row_step = height + kLabelHeight + kPadding, column_step = width + kPadding;
  const ImageShape whole{(count + in_row - 1) / in_row * row_step + kPadding, in_row * column_step + kPadding, 3};
  check_limits("contact sheet", whole.height, whole.width, {});
  Image sheet(whole, kWhite);
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
