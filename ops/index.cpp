#include "ops/index.h"

#include <algorithm>

namespace gesso {

void check_index_range(std::string_view op, const Tensor& index, std::int64_t below) {
  const std::span<const std::int32_t> all = index.data<std::int32_t>();
  const auto bad = std::ranges::find_if(all, [=](std::int32_t i) { return i < 0 || i >= below; });
  if (bad != all.end())
    fail(ErrorKind::data, "{}: index {} at position {} of {} does not lie in [0, {})", op, *bad, bad - all.begin(),
         index.spec().text(), below);
}

}  // namespace gesso
