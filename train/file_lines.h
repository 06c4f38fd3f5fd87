// The lines of a file of any size, of which no more than one is held in memory.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "train/file_calls.h"

namespace gesso {

inline constexpr std::size_t kMaxLine = std::size_t{64} << 10;  // longer than any that gesso writes

struct FileLine {
  std::string_view text;  // without its end; of more than kMaxLine bytes the first kMaxLine + 1
  bool is_whole = true;   // whether its end is there
};

// From the current position on. piece: bytes that are read at a time.
void each_line(const OpenFile& file, const std::function<void(const FileLine&)>& take, std::size_t piece = kMaxLine);

}  // namespace gesso
