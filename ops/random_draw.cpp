#include "ops/random_draw.h"

namespace gesso::draws {
namespace {

constexpr std::int64_t kMost = 1ll << 48;      // samples and steps: what a counter holds
constexpr std::int64_t kElements = 1ll << 34;  // of a sample: 2^32 groups of four

}  // namespace

const RandomKernels& kernels(Isa isa) {
  return by_isa(isa, random_kernels<simd::Baseline>, random_kernels<simd::Avx2>, random_kernels<simd::Avx512>)();
}

void check(std::string_view op, const Shape& shape, std::int64_t first_sample, const Spec& step) {
  if (step != Spec{{1}, DType::i64}) fail("{}: step must be [1] i64, but is {}", op, step.text());
  const std::int64_t count = shape.count(), samples = samples_of(shape);
  if (first_sample < 0 || first_sample > kMost - samples)
    fail("{}: samples from {} on, {} of them, do not lie in [0, 2^48)", op, first_sample, samples);
  if (samples > 0 && count / samples > kElements)
    fail("{}: a sample of {} has more than 2^34 elements", op, shape.text());
}

std::uint64_t step_of(std::string_view op, const Tensor& step) {
  const std::int64_t value = step.data<std::int64_t>()[0];
  if (value < 0 || value >= kMost) fail("{}: step {} does not lie in [0, 2^48)", op, value);
  return static_cast<std::uint64_t>(value);
}

}  // namespace gesso::draws
