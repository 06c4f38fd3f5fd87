// Shuffling without a list: a keyed permutation of [0, n), any position directly computable in constant memory.
#pragma once

#include <cstdint>
#include <vector>

namespace gesso {

// Feistel network over Philox on the smallest even number of bits that holds n, walked until the value is below n
// (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
class KeyedPermutation {
 public:
  // 1 <= n < 2^48.
  KeyedPermutation(std::int64_t n, std::uint64_t key);
  // 0 <= position < n.
  std::int64_t operator()(std::int64_t position) const;

 private:
  std::uint64_t encrypt(std::uint64_t value) const;

  std::uint64_t n_, key_;
  int half_bits_;
};

// Which samples make up the batch of each step of an endless run: every epoch is a new permutation, cut into batches;
// what is left at its end is dropped. A pure function of (samples, batch, seed, step).
class SampleOrder {
 public:
  // Throws ErrorKind::usage where the set has less than one batch.
  SampleOrder(std::int64_t samples, std::int64_t batch, std::uint64_t seed);

  std::int64_t batches_per_epoch() const { return samples_ / batch_; }
  std::int64_t epoch(std::int64_t step) const { return step / batches_per_epoch(); }
  // The batch of this step, counted from 0. Throws on a negative step.
  std::vector<std::int64_t> operator()(std::int64_t step) const;
  // What to take instead of the sample at `position` of that batch where it cannot be had: drawn from all of them, anew
  // for each attempt (from 1). The other samples of the batch stay as they are.
  std::int64_t substitute(std::int64_t step, std::int64_t position, std::int64_t attempt) const;

 private:
  std::int64_t samples_, batch_;
  std::uint64_t seed_;
};

}  // namespace gesso
