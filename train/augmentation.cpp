#include "train/augmentation.h"

#include "core/rng.h"

namespace gesso {

View Augmentation::view(std::int64_t step, std::int64_t sample) const {
  const Words words = random_words(random_key(seed, Purpose::augment, "data"), static_cast<std::uint64_t>(step),
                                   static_cast<std::uint64_t>(sample), 0);
  View view;
  if (crop) {
    view.y = static_cast<double>(uniform_half_open(words.word[1]));
    view.x = static_cast<double>(uniform_half_open(words.word[2]));
  }
  view.flip = flip && words.word[0] >> 31 != 0;
  return view;
}

}  // namespace gesso
