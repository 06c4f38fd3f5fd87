#include "train/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "train/json_text.h"

namespace gesso {

std::string escaped(std::string_view text) {
  const bool readable = is_utf8(text);
  std::string result;
  const auto byte_at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  // U+0080 to U+009F, which some terminals obey, begin with C2.
  const auto starts_control = [&](std::size_t i) { return byte_at(i) == 0xC2 && byte_at(i + 1) < 0xA0; };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned byte = byte_at(i);
    const bool control = byte < 0x20 || byte == 0x7F || starts_control(i) || (i > 0 && starts_control(i - 1));
    if (control || (byte > 0x7F && !readable))
      result += fmt::format("\\x{:02x}", byte);
    else
      result += text[i];
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMostShown = 80;
  const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80; };
  std::size_t shown = std::min(kMostShown, text.size());
  while (shown > 0 && shown < text.size() && continues(shown)) --shown;  // not within a character
  std::string result = "'" + escaped(text.substr(0, shown));
  if (text.size() > shown) result += fmt::format("... ({} bytes)", text.size());
  return result + "'";
}

std::string words_of(const std::exception& error) noexcept {
  try {
    return error.what();
  } catch (const std::bad_alloc&) {
    return "no memory";  // short enough to need none
  }
}

std::string in_shell(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  const bool printable = escaped(word) == word;
  std::string result = printable ? "'" : "$'";  // the latter knows \xNN
  for (const char c : word) {
    if (c == '\'')
      result += printable ? "'\\''" : "\\'";
    else if (c == '\\' && !printable)
      result += "\\\\";
    else
      result += printable ? std::string(1, c) : escaped({&c, 1});
  }
  return result + "'";
}

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Rows of the table for a's prefixes, over b's prefixes; three are kept, for exchanged neighbours look two back.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t kLongestWord = 256;  // longer ones are no misspelling, and the table grows with the product
  if (word.size() > kLongestWord) return {};
  std::string best;
  std::size_t best_distance = word.size() / 3 + 2;  // as far as this it is another word
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kLongestWord) continue;
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace gesso
