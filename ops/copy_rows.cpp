#include "ops/copy_rows.h"

#include <algorithm>
#include <cstring>

namespace gesso {

void copy_rows(const Execution& run, const CopyRows& copy) {
  constexpr std::int64_t kPiece = 1 << 16;  // bytes a chunk
  if (copy.bytes == 0) return;
  const std::int64_t pieces = (copy.bytes + kPiece - 1) / kPiece;
  const std::int64_t grain = std::max<std::int64_t>(1, kPiece / copy.bytes);
  parallel_for(run.pool, copy.rows * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t row = unit / pieces, first = unit % pieces * kPiece;
      const auto bytes = static_cast<std::size_t>(std::min(kPiece, copy.bytes - first));
      std::byte* to = copy.to + row * copy.to_step + first;
      if (copy.from)
        std::memcpy(to, copy.from + row * copy.from_step + first, bytes);
      else
        std::memset(to, 0, bytes);
    }
  });
}

}  // namespace gesso
