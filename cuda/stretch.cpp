#include "cuda/stretch.h"

#include <algorithm>

#include "core/error.h"

namespace gesso::cuda {
namespace {

bool aligned(const Access& access) {
  return reinterpret_cast<std::uintptr_t>(access.data) % vector_alignment(access.element) == 0;
}

// Whether four neighbours of the result are four neighbours, or one element, of this operand.
bool in_vectors(const Steps& steps, const Access& access) {
  if (steps[0] == 0) return true;
  return aligned(access) && std::all_of(steps.begin() + 1, steps.end(), [](auto step) { return step % kVector == 0; });
}

}  // namespace

Loop stretched_loop(const Shape& result, std::span<Steps> operands, std::span<const Access> accesses) {
  const JoinedLoop joined = join_dimensions(result, operands);
  Loop loop{.count = result.count(), .rank = std::max(joined.rank, 1)};
  if (loop.count == 0) return loop;
  if (loop.rank > 1 && loop.count >= std::int64_t{1} << 31)
    fail("a result {} of stretched operands has more than 2^31 elements; use a smaller train.batch", result.text());
  for (int d = 0; d < joined.rank && loop.rank > 1; ++d) {
    const auto i = static_cast<std::size_t>(d);
    loop.size[i] = Divisor(joined.size[i]);
  }
  loop.in_vectors = aligned(accesses[0]) && (loop.rank == 1 || joined.size[0] % kVector == 0);
  for (std::size_t o = 0; o < operands.size(); ++o) {
    operands[o] = joined.steps[o];
    loop.in_vectors = loop.in_vectors && in_vectors(operands[o], accesses[o + 1]);
  }
  return loop;
}

}  // namespace gesso::cuda
