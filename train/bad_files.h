// How many files of a data set may be bad before training is refused, or stops.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gesso {

// reasons: one a bad file, with its name. Throws ErrorKind::data, naming the first ones, where these are more than the
// share `max_bad` of all `files`. remedy: what to do then, with {} for the least share that would allow them.
void check_bad_files(const std::string& name, std::span<const std::string> reasons, std::int64_t files, double max_bad,
                     std::string_view remedy);

}  // namespace gesso
