#include "train/bad_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace gesso {
namespace {

double share_of(std::int64_t bad, std::int64_t files) { return static_cast<double>(bad) / static_cast<double>(files); }

// The most bad files that are no more than this share, and not one fewer because the product was rounded.
std::int64_t allowed_of(std::int64_t files, double max_bad) {
  const auto most = static_cast<std::int64_t>(max_bad * static_cast<double>(files));
  return share_of(most + 1, files) <= max_bad ? most + 1 : most;
}

}  // namespace

std::vector<std::string> bad_files_of(const Dataset& train_data, const Dataset& test_data) {
  std::vector<std::string> reasons = train_data.skipped();
  reasons.insert(reasons.end(), test_data.skipped().begin(), test_data.skipped().end());
  return reasons;
}

void check_bad_files(const std::string& name, std::span<const std::string> reasons, std::int64_t files, double max_bad,
                     std::string_view remedy) {
  if (reasons.empty()) return;
  const std::int64_t allowed = allowed_of(files, max_bad);
  if (std::ssize(reasons) <= allowed) return;
  constexpr std::size_t kShown = 3;
  const auto shown = reasons.first(std::min(kShown, reasons.size()));
  const std::string least = fmt::format("{:.3g}", std::ceil(share_of(std::ssize(reasons), files) * 1000) / 1000);
  fail(ErrorKind::data, "{}: {} of {} files cannot be used, more than the {} that data.max_bad = {} allows; {}: {}{}",
       name, reasons.size(), files, allowed, max_bad, fmt::format(fmt::runtime(remedy), least), fmt::join(shown, "; "),
       reasons.size() > kShown ? "; ..." : "");
}

}  // namespace gesso
