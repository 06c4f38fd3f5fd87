// Letters for pictures: printable ASCII, 5 pixels wide and 7 high with one row for what hangs below, one empty
// column between two.
#pragma once

#include <cstdint>
#include <string_view>

#include "train/image.h"

namespace gesso {

inline constexpr std::int64_t kLetterWidth = 5, kLetterHeight = 8, kLetterStep = 6;

// Writes the text, its upper left corner at (top, left), in all channels of the picture. What no letter is known for is
// written as '?'; what lies outside the picture is not written.
void draw_text(Image& image, std::int64_t top, std::int64_t left, std::string_view text, std::uint8_t ink);

}  // namespace gesso
