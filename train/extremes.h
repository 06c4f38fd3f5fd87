// The test pictures that a model makes worst and best: looked for when training ends, shown by the report.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/task.h"

namespace gesso {

struct PictureError {
  std::int64_t index = 0;  // of a test picture
  double mse = 0;          // of its reconstruction, both in 8 bits, in units of the full range
};

struct Extremes {
  static constexpr std::int64_t kMostLookedAt = 256;
  static constexpr std::int64_t kMostShown = 4;  // of each

  std::int64_t step = 0, looked_at = 0;
  std::vector<PictureError> worst, best;  // the most extreme first; as many
};

// Among the first kMostLookedAt pictures of the data set, `batch` at a time. None where a picture of them
// (triptych_grid) would be too large, where there are less than two, or once `asked_to_stop`.
Extremes find_extremes(Task& task, const nn::Context& context, const Dataset& test_data, std::int64_t batch,
                       const std::function<bool()>& asked_to_stop);

// What the model makes of these: triptych_grid.
Image picture_of(std::span<const PictureError> errors, Task& task, const nn::Context& context,
                 const Dataset& test_data);

// As a file of a run holds it. Read back: nothing where the text, which may come from a stranger, is none of these.
std::string text_of(const Extremes& extremes);
std::optional<Extremes> extremes_of(std::string_view text);

}  // namespace gesso
