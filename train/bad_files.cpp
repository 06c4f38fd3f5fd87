#include "train/bad_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace gesso {

void check_bad_files(const std::string& name, std::span<const std::string> reasons, std::int64_t files, double max_bad,
                     std::string_view remedy) {
  const double share = static_cast<double>(reasons.size()) / static_cast<double>(files);
  if (reasons.empty() || share <= max_bad) return;
  constexpr std::size_t kShown = 3;
  const auto shown = reasons.first(std::min(kShown, reasons.size()));
  const std::string least = fmt::format("{:.3g}", std::ceil(share * 1000) / 1000);
  fail(ErrorKind::data, "{}: {} of {} files cannot be used, more than data.max_bad = {} allows; {}: {}{}", name,
       reasons.size(), files, max_bad, fmt::format(fmt::runtime(remedy), least), fmt::join(shown, "; "),
       reasons.size() > kShown ? "; ..." : "");
}

}  // namespace gesso
