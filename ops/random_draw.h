// What the rows that draw share. Included by their .cpp only.
#pragma once

#include <algorithm>

#include "core/rng.h"
#include "ops/op.h"
#include "ops/random_simd.h"

namespace gesso::draws {

constexpr std::int64_t kGrain = 1 << 13;  // elements a chunk; some 50 us of Philox

const RandomKernels& kernels(Isa isa);

inline std::int64_t samples_of(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[0]; }

// Throws where `step` is not one number, or samples or elements are more than a counter holds.
void check(std::string_view op, const Shape& shape, std::int64_t first_sample, const Spec& step);

// The number of the step; throws where it does not lie in [0, 2^48).
std::uint64_t step_of(std::string_view op, const Tensor& step);

// body(source, begin, end, at) over pieces of samples; `at` is where element `begin` of the sample lies in the tensor.
// `begin` is a multiple of kGrain.
template <class Body>
void for_each_piece(ThreadPool& pool, const Shape& shape, RandomSource from, Body&& body) {
  const std::int64_t samples = samples_of(shape), size = shape.count() / std::max<std::int64_t>(samples, 1);
  if (shape.count() == 0) return;
  const std::int64_t pieces = (size + kGrain - 1) / kGrain;
  parallel_for(pool, samples * pieces, std::max<std::int64_t>(1, kGrain / size),
               [&](std::int64_t first, std::int64_t last) {
                 for (std::int64_t unit = first; unit < last; ++unit) {
                   const std::int64_t sample = unit / pieces, begin = unit % pieces * kGrain;
                   const RandomSource source{from.key, from.step, from.sample + static_cast<std::uint64_t>(sample)};
                   body(source, begin, std::min(size, begin + kGrain), sample * size + begin);
                 }
               });
}

// Element by element, as core/rng.h defines it: draw(element, words, place among the four).
template <class Draw>
void for_each_element(const Shape& shape, const RandomSource& from, Draw&& draw) {
  const std::int64_t samples = samples_of(shape), size = shape.count() / std::max<std::int64_t>(samples, 1);
  for (std::int64_t n = 0; n < samples; ++n)
    for (std::int64_t i = 0; i < size; ++i) {
      const Words words = random_words(from.key, from.step, from.sample + static_cast<std::uint64_t>(n),
                                       static_cast<std::uint32_t>(i / 4));
      draw(static_cast<std::size_t>(n * size + i), words, static_cast<std::size_t>(i % 4));
    }
}

}  // namespace gesso::draws
