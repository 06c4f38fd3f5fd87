#include "train/html.h"

#include "train/text.h"

namespace gesso {

std::string html(std::string_view text) {
  std::string result;
  for (bool first = true; first || !text.empty(); first = false) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    for (const char c : escaped(text.substr(0, end))) switch (c) {
        case '&':
          result += "&amp;";
          break;
        case '<':
          result += "&lt;";
          break;
        case '>':
          result += "&gt;";
          break;
        case '"':
          result += "&quot;";
          break;
        case '\'':
          result += "&#39;";
          break;
        default:
          result += c;
      }
    if (end == text.size()) break;
    result += '\n';
    text.remove_prefix(end + 1);
  }
  return result;
}

std::string png_address(std::span<const std::byte> png) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string address = "data:image/png;base64,";
  address.reserve(address.size() + (png.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < png.size(); i += 3) {
    const std::size_t given = std::min<std::size_t>(3, png.size() - i);
    unsigned bits = 0;  // 24 of them
    for (std::size_t k = 0; k < 3; ++k) bits = (bits << 8) | (k < given ? std::to_integer<unsigned>(png[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) address += k <= given ? kDigits[(bits >> (18 - 6 * k)) & 63] : '=';
  }
  return address;
}

}  // namespace gesso
