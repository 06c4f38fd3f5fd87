// All that core/rng.h prescribes as one rounding is one here: it asks for fused multiply-adds by name and has no other
// product that meets a sum unless it is exact, so that nvcc may contract what it likes.
#include "core/rng.h"
#include "cuda/random.h"
#include "cuda/vector.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256;

// A thread's four elements of one sample: where they lie, and how many of them there are.
struct Group {
  std::int64_t sample, first;
  std::uint32_t number;  // within the sample
  int count;
};

// False: there is nothing left for this thread.
__device__ __forceinline__ bool group_of_thread(const Drawn& draw, Group& group) {
  const std::uint32_t unit = blockIdx.x * kThreads + threadIdx.x;
  const std::uint32_t sample = draw.groups.quotient(unit);
  group.sample = sample;
  group.number = unit - sample * draw.groups.value();
  const std::int64_t begin = std::int64_t{group.number} * kVector, rest = draw.size - begin;
  group.first = group.sample * draw.size + begin;
  group.count = rest < kVector ? static_cast<int>(rest) : kVector;
  return group.sample < draw.samples;
}
__device__ __forceinline__ Words words_of(const Drawn& draw, const Group& group) {
  return random_words(draw.key, static_cast<std::uint64_t>(*draw.step),
                      draw.first_sample + static_cast<std::uint64_t>(group.sample), group.number);
}

__device__ __forceinline__ Vector<float> load_group(const Drawn& draw, const Group& group, const float* x) {
  return load_up_to(x + group.first, group.count, draw.in_vectors);
}
__device__ __forceinline__ void store_group(const Drawn& draw, const Group& group, const Vector<float>& values,
                                            float* y) {
  store_up_to(y + group.first, values, group.count, draw.in_vectors);
}

struct Uniform {
  static __device__ __forceinline__ Vector<float> values(const Words& words) {
    Vector<float> y;
    CU_UNROLL
    for (int i = 0; i < kVector; ++i) y.at[i] = uniform_half_open(words.word[i]);
    return y;
  }
};
struct Normal {
  static __device__ __forceinline__ Vector<float> values(const Words& words) {
    const Normals drawn = normals(words);
    Vector<float> y;
    CU_UNROLL
    for (int i = 0; i < kVector; ++i) y.at[i] = drawn.value[i];
    return y;
  }
};
struct Gumbel {
  static __device__ __forceinline__ Vector<float> values(const Words& words) {
    Vector<float> y;
    CU_UNROLL
    for (int i = 0; i < kVector; ++i) y.at[i] = gumbel(words.word[i]);
    return y;
  }
};

template <class F>
__global__ void __launch_bounds__(kThreads) fill(Drawn draw, float* y) {
  Group group;
  if (!group_of_thread(draw, group)) return;
  store_group(draw, group, F::values(words_of(draw, group)), y);
}

__global__ void __launch_bounds__(kThreads) drop(Drawn draw, float rate, float scale, const float* x, float* y) {
  Group group;
  if (!group_of_thread(draw, group)) return;
  const Vector<float> drawn = Uniform::values(words_of(draw, group));
  Vector<float> values = load_group(draw, group, x);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) values.at[i] = drawn.at[i] < rate ? 0.0f : values.at[i] * scale;
  store_group(draw, group, values, y);
}

__device__ __forceinline__ float alpha_bar_of(const Noising& call, std::int64_t sample) {
  const std::int32_t t = call.t[sample];
  return t >= 0 && t < call.steps ? call.alpha_bar[t] : nanf("");
}

__global__ void __launch_bounds__(kThreads) noise(Noising call) {
  Group group;
  if (!group_of_thread(call.draw, group)) return;
  const float A = alpha_bar_of(call, group.sample), signal = sqrtf(A), share = sqrtf(1.0f - A);
  const Vector<float> eps = Normal::values(words_of(call.draw, group));
  Vector<float> values = load_group(call.draw, group, call.x);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i)
    values.at[i] = __fadd_rn(__fmul_rn(values.at[i], signal), __fmul_rn(eps.at[i], share));
  store_group(call.draw, group, values, call.x_t);
  store_group(call.draw, group, eps, call.eps);
}

__global__ void __launch_bounds__(kThreads) scale_by_signal(Noising call) {
  Group group;
  if (!group_of_thread(call.draw, group)) return;
  const float signal = sqrtf(alpha_bar_of(call, group.sample));
  Vector<float> values = load_group(call.draw, group, call.x);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) values.at[i] *= signal;
  store_group(call.draw, group, values, call.x_t);
}

cu::LaunchConfig over_groups(cu::Stream stream, const Drawn& draw) {
  const std::int64_t units = draw.samples * draw.groups.value();
  return {.grid = dim3(static_cast<unsigned>((units + kThreads - 1) / kThreads)),
          .block = dim3(kThreads),
          .stream = stream};
}

template <class F>
void run_fill(cu::Stream stream, const Drawn& draw, float* y) {
  cu::launch(over_groups(stream, draw), fill<F>, draw, y);
}
void dropout(cu::Stream stream, const Drawn& draw, float rate, float scale, const float* x, float* y) {
  cu::launch(over_groups(stream, draw), drop, draw, rate, scale, x, y);
}
void add_noise(cu::Stream stream, const Noising& call) { cu::launch(over_groups(stream, call.draw), noise, call); }
void signal(cu::Stream stream, const Noising& call) {
  cu::launch(over_groups(stream, call.draw), scale_by_signal, call);
}

}  // namespace

template <>
const RandomKernels& random_kernels<cu::Build>() {
  static constexpr RandomKernels table = {.uniform = run_fill<Uniform>,
                                          .normal = run_fill<Normal>,
                                          .gumbel = run_fill<Gumbel>,
                                          .dropout = dropout,
                                          .add_noise = add_noise,
                                          .signal = signal};
  return table;
}

}  // namespace gesso::cuda
