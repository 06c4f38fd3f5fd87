#include "cuda/cu.h"
#include "cuda/reduce.h"

namespace gesso::cuda {
namespace {

// A reducer says what a part is, how one is made of an element, and what becomes of the last one.
struct Sum {
  using Part = double;
  double scale;

  static __device__ Part nothing() { return 0; }
  static __device__ Part of(float x, std::int64_t) { return x; }
  static __device__ Part moved(Part part, std::int64_t) { return part; }
  static __device__ void join(Part& sum, Part next) { sum += next; }
  __device__ void finish(Part sum, void* to, std::int64_t i) const {
    static_cast<float*>(to)[i] = static_cast<float>(scale * sum);
  }
};

// Squares of floats are exact in double.
struct Norm {
  using Part = double;

  static __device__ Part nothing() { return 0; }
  static __device__ Part of(float x, std::int64_t) { return static_cast<double>(x) * static_cast<double>(x); }
  static __device__ Part moved(Part part, std::int64_t) { return part; }
  static __device__ void join(Part& sum, Part next) { sum += next; }
  __device__ void finish(Part sum, void* to, std::int64_t i) const {
    static_cast<float*>(to)[i] = static_cast<float>(sqrt(sum));
  }
};

// What the difference of two sums in double loses, floats do not hold: a mean 10^5 deviations away costs 10^-6.
struct Variance {
  using Part = SumAndSquares;
  double n, correction;

  static __device__ Part nothing() { return {0, 0}; }
  static __device__ Part of(float x, std::int64_t) {
    const auto wide = static_cast<double>(x);
    return {wide, wide * wide};
  }
  static __device__ Part moved(Part part, std::int64_t) { return part; }
  static __device__ void join(Part& all, Part next) {
    all.sum += next.sum;
    all.squares += next.squares;
  }
  __device__ void finish(Part all, void* to, std::int64_t i) const {
    const double about_mean = all.squares - all.sum * (all.sum / n);
    static_cast<float*>(to)[i] = static_cast<float>((about_mean < 0 ? 0 : about_mean) / (n - correction));
  }
};

template <bool largest>
struct ToExtreme {
  using Part = Extreme;
  float* values;

  static __device__ Part nothing() { return {largest ? -INFINITY : INFINITY, INT32_MAX}; }
  static __device__ Part of(float x, std::int64_t number) { return {x, static_cast<std::int32_t>(number)}; }
  static __device__ Part moved(Part part, std::int64_t by) {
    return {part.value, part.number + static_cast<std::int32_t>(by)};
  }
  static __device__ bool beats(float a, float b) { return (a != a && b == b) || (largest ? a > b : a < b); }
  static __device__ void join(Part& best, Part next) {
    const bool worse = beats(best.value, next.value);
    if (beats(next.value, best.value) || (!worse && next.number < best.number)) best = next;
  }
  __device__ void finish(Part best, void* to, std::int64_t i) const {
    static_cast<std::int32_t*>(to)[i] = best.number;
    if (values) values[i] = best.value;
  }
};

// The order of joining depends on the step alone: each lane its rows upward, then lanes as a tree.
template <class R>
__global__ void __launch_bounds__(kReduceThreads) reduce(ReduceStep step, R reducer) {
  using Part = typename R::Part;
  CU_SHARED(Part, parts, [kReduceThreads]);
  const unsigned thread = threadIdx.x, columns = 1u << step.column_bits, lanes = 1u << step.lane_bits;
  const unsigned lane = thread >> step.column_bits & (lanes - 1), of_one = step.column_bits + step.lane_bits;
  const unsigned unit = (blockIdx.x << (kReduceBits - of_one)) + (thread >> of_one);
  const unsigned above_tiles = step.tiles.quotient(unit), outer = step.chunks.quotient(above_tiles);
  const unsigned tile = unit - above_tiles * step.tiles.value(), chunk = above_tiles - outer * step.chunks.value();
  const std::int64_t column = static_cast<std::int64_t>(tile << step.column_bits) + (thread & (columns - 1));
  const bool inside = outer < step.outer && column < step.inner;

  Part part = R::nothing();
  if (inside) {
    const std::int64_t begin = std::int64_t{chunk} * step.rows,
                       end = begin + step.rows < step.r ? begin + step.rows : step.r;
    const std::int64_t base = std::int64_t{outer} * step.r * step.inner + column;
    for (std::int64_t row = begin + lane; row < end; row += lanes) {
      const std::int64_t at = base + row * step.inner;
      const std::int64_t number = row * step.number_step;
      R::join(part, step.first ? R::of(static_cast<const float*>(step.from)[at], number)
                               : R::moved(static_cast<const Part*>(step.from)[at], number));
    }
  }
  parts[thread] = part;
  for (unsigned half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) R::join(parts[thread], parts[thread + half * columns]);
  }
  if (!inside || lane != 0) return;
  const std::int64_t to = (std::int64_t{outer} * step.chunks.value() + chunk) * step.inner + column;
  if (step.last)
    reducer.finish(parts[thread], step.to, to);
  else
    static_cast<Part*>(step.to)[to] = parts[thread];
}

template <class R>
void run(cu::Stream stream, const ReduceStep& step, const R& reducer) {
  const int units_a_block = 1 << (kReduceBits - step.column_bits - step.lane_bits);
  const auto blocks = static_cast<unsigned>((step.units + units_a_block - 1) / units_a_block);
  cu::launch({.grid = dim3(blocks), .block = dim3(kReduceThreads), .stream = stream}, reduce<R>, step, reducer);
}

__device__ __forceinline__ std::int64_t offset_of(const Dimensions& dimensions, unsigned i) {
  std::int64_t offset = 0;
  CU_UNROLL
  for (int d = 0; d < 6; ++d) {
    const unsigned outer = dimensions.size[d].quotient(i);
    offset += (i - outer * dimensions.size[d].value()) * dimensions.step[d];
    i = outer;
  }
  return offset;
}

__global__ void __launch_bounds__(kReduceThreads) scatter(PickedGradient call) {
  const unsigned i = blockIdx.x * kReduceThreads + threadIdx.x;
  if (i >= call.results) return;
  const auto number = static_cast<unsigned>(call.number[i]);
  call.dx[offset_of(call.kept, i) + offset_of(call.reduced, number)] = call.dy[i];
}

void scatter_picked(cu::Stream stream, const PickedGradient& call) {
  const auto blocks = static_cast<unsigned>((call.results + kReduceThreads - 1) / kReduceThreads);
  cu::launch({.grid = dim3(blocks), .block = dim3(kReduceThreads), .stream = stream}, scatter, call);
}

void sum(cu::Stream stream, const ReduceStep& step, double scale) { run(stream, step, Sum{scale}); }
void norm(cu::Stream stream, const ReduceStep& step) { run(stream, step, Norm{}); }
void variance(cu::Stream stream, const ReduceStep& step, double n, double correction) {
  run(stream, step, Variance{n, correction});
}
void find_largest(cu::Stream stream, const ReduceStep& step, float* values) {
  run(stream, step, ToExtreme<true>{values});
}
void find_smallest(cu::Stream stream, const ReduceStep& step) { run(stream, step, ToExtreme<false>{nullptr}); }

}  // namespace

template <>
const ReduceKernels& reduce_kernels<cu::Build>() {
  static constexpr ReduceKernels table = {.sum = sum,
                                          .norm = norm,
                                          .variance = variance,
                                          .largest = find_largest,
                                          .smallest = find_smallest,
                                          .scatter_picked = scatter_picked};
  return table;
}

}  // namespace gesso::cuda
