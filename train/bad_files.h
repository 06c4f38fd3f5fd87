// How many files of a data set may be bad before training is refused, or stops.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/dataset.h"

namespace gesso {

// Files of both splits of a data set that cannot be used, each with the reason.
std::vector<std::string> bad_files_of(const Dataset& train_data, const Dataset& test_data);

// reasons: one a bad file, with its name. Throws ErrorKind::data, naming the first ones, where these are more than the
// share `max_bad` of all `files` of the data set, whatever their split: of fewer than 1000 files 0.001 is none. remedy:
// what to do then, with {} for the least share that would allow them.
void check_bad_files(const std::string& name, std::span<const std::string> reasons, std::int64_t files, double max_bad,
                     std::string_view remedy);

// Before a run.
inline constexpr std::string_view kMendOrSkip =
    "mend or remove them (gesso data scan lists all), or go on without them by data.max_bad={}";
// The same where none would be left to go on with.
inline constexpr std::string_view kMend = kMendOrSkip.substr(0, kMendOrSkip.rfind(", or "));

}  // namespace gesso
