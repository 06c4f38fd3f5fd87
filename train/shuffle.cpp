#include "train/shuffle.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "core/rng.h"

namespace gesso {

KeyedPermutation::KeyedPermutation(std::int64_t n, std::uint64_t key) : n_(static_cast<std::uint64_t>(n)), key_(key) {
  if (n < 1 || n >= std::int64_t{1} << 48) fail("shuffle: {} samples; 1 to 2^48-1 can be shuffled", n);
  constexpr int kFewest = 3;  // on fewer bits six rounds do not reach all permutations evenly
  half_bits_ = std::max(kFewest, (static_cast<int>(std::bit_width(n_ - 1)) + 1) / 2);
}

std::uint64_t KeyedPermutation::encrypt(std::uint64_t value) const {
  constexpr std::uint32_t kRounds = 6;
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_, right = value & mask;
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    const std::uint32_t mixed = philox({{static_cast<std::uint32_t>(right), round, 0, 0}}, key_).word[0];
    const std::uint64_t next = left ^ (mixed & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

std::int64_t KeyedPermutation::operator()(std::int64_t position) const {
  auto value = static_cast<std::uint64_t>(position);
  do value = encrypt(value);
  while (value >= n_);
  return static_cast<std::int64_t>(value);
}

SampleOrder::SampleOrder(std::int64_t samples, std::int64_t batch, std::uint64_t seed)
    : samples_(samples), batch_(batch), seed_(seed) {
  if (batch < 1) fail("batches of {} samples; at least 1 is needed", batch);
  if (samples < batch)
    fail("the data set has {} samples, less than the {} of a step; lower train.batch or train.accumulate", samples,
         batch);
}

std::vector<std::int64_t> SampleOrder::operator()(std::int64_t step) const {
  if (step < 0) fail("no batch for step {}", step);
  const KeyedPermutation shuffled(samples_,
                                  random_key(seed_, Purpose::shuffle, "data", static_cast<std::uint64_t>(epoch(step))));
  const std::int64_t first = step % batches_per_epoch() * batch_;
  std::vector<std::int64_t> indices(static_cast<std::size_t>(batch_));
  for (std::int64_t i = 0; i < batch_; ++i) indices[static_cast<std::size_t>(i)] = shuffled(first + i);
  return indices;
}

std::int64_t SampleOrder::substitute(std::int64_t step, std::int64_t position, std::int64_t attempt) const {
  const std::uint64_t key = random_key(seed_, Purpose::shuffle, "substitute", static_cast<std::uint64_t>(attempt));
  const Words words = random_words(key, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(position), 0);
  return static_cast<std::int64_t>(below(words.word[0], words.word[1], static_cast<std::uint64_t>(samples_)));
}

}  // namespace gesso
