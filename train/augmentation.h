// How training looks at its pictures: exchanged left for right, or cropped somewhere else, each time it meets one.
#pragma once

#include <cstdint>

#include "train/dataset.h"

namespace gesso {

struct Augmentation {
  bool flip = false;  // half of the time
  bool crop = false;  // anywhere instead of in the middle
  std::uint64_t seed = 0;

  // A pure function of the seed, the step and the sample's index, so that neither threads nor a resume change it.
  View view(std::int64_t step, std::int64_t sample) const;
};

}  // namespace gesso
