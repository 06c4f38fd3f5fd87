#include "core/rng.h"
#include "cuda/block.h"
#include "cuda/codebook_update.h"

namespace gesso::cuda {
namespace {

constexpr int kSumThreads = 512, kUpdateThreads = 256;

// The new counts, beside the old ones, which the gate may keep; and from their sum what smooths them. One block.
__global__ void __launch_bounds__(kSumThreads) average_counts(CodebookStep s) {
  double total = 0;
  for (std::int64_t k = threadIdx.x; k < s.codes; k += kSumThreads) {
    // Rounded as on the CPU: whether a code is revived may hang on the last bit.
    const float n = __fadd_rn(__fmul_rn(s.decay, s.moving_counts[k]), __fmul_rn(1.0f - s.decay, s.counts[k]));
    s.new_counts[k] = n;
    total += n;
  }
  total = block_sum<kSumThreads>(total);
  if (threadIdx.x == 0) *s.factor = total / (total + static_cast<double>(s.codes) * s.eps);
}

// Which candidate replaces code k at this step.
__device__ __forceinline__ std::int64_t candidate(const CodebookStep& s, std::int64_t k) {
  const Words words = random_words(s.key, static_cast<std::uint64_t>(*s.step), static_cast<std::uint64_t>(k), 0);
  return static_cast<std::int64_t>(below(words.word[0], words.word[1], static_cast<std::uint64_t>(s.candidates)));
}

__global__ void __launch_bounds__(kUpdateThreads) update_codes(CodebookStep s) {
  const std::int64_t k =
      static_cast<std::int64_t>(blockIdx.x) * (kUpdateThreads / s.lanes) + static_cast<int>(threadIdx.x) / s.lanes;
  const int lane = static_cast<int>(threadIdx.x) % s.lanes;
  if (k >= s.codes || !isfinite(*s.gate)) return;
  const float n = s.new_counts[k];
  float *m = s.moving_sums + k * s.width, *e = s.codebook + k * s.width;
  const bool revived = n < s.revival_threshold && s.candidates > 0;
  if (lane == 0) s.moving_counts[k] = revived ? 1.0f : n;
  if (revived) {
    const float* z = s.z + candidate(s, k) * s.width;
    for (std::int64_t d = lane; d < s.width; d += s.lanes) m[d] = e[d] = z[d];
    return;
  }
  const double smoothed = (static_cast<double>(n) + s.eps) * *s.factor;
  const float scale = static_cast<float>(1 / smoothed);
  const float* sums = s.sums + k * s.width;
  for (std::int64_t d = lane; d < s.width; d += s.lanes) {
    const float moved = s.decay * m[d] + (1.0f - s.decay) * sums[d];
    m[d] = moved;
    if (smoothed > 0) e[d] = moved * scale;  // a code without any count keeps its place
  }
}

void update(cu::Stream stream, const CodebookStep& step) {
  const std::int64_t codes_a_block = kUpdateThreads / step.lanes;
  const auto blocks = static_cast<unsigned>((step.codes + codes_a_block - 1) / codes_a_block);
  cu::launch({.grid = dim3(1), .block = dim3(kSumThreads), .stream = stream}, average_counts, step);
  cu::launch({.grid = dim3(blocks), .block = dim3(kUpdateThreads), .stream = stream}, update_codes, step);
}

}  // namespace

template <>
const CodebookUpdateKernels& codebook_update_kernels<cu::Build>() {
  static constexpr CodebookUpdateKernels table = {.update = update};
  return table;
}

}  // namespace gesso::cuda
