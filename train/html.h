// Text and pictures as parts of an HTML page.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gesso {

// Text of any origin as HTML text or as an attribute in quotes: it opens no tag, ends no attribute, and what is no
// readable character is shown by its bytes. Line breaks stay.
std::string html(std::string_view text);

// "data:image/png;base64,..."
std::string png_address(std::span<const std::byte> png);

}  // namespace gesso
