#include "train/file_lines.h"

#include <span>
#include <string>
#include <vector>

namespace gesso {

void each_line(const OpenFile& file, const std::function<void(const FileLine&)>& take, std::size_t piece) {
  std::vector<char> bytes(piece);
  std::string begun;  // a line that goes on in the next piece
  const auto go_on = [&](std::string_view text) { begun += text.substr(0, kMaxLine + 1 - begun.size()); };
  while (const std::size_t got = file.read(std::as_writable_bytes(std::span(bytes)))) {
    std::string_view rest(bytes.data(), got);
    for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      go_on(rest.substr(0, end));
      take({.text = begun});
      begun.clear();
    }
    go_on(rest);
  }
  if (!begun.empty()) take({.text = begun, .is_whole = false});
}

}  // namespace gesso
