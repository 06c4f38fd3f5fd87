#include "cuda/optimizer.h"
#include "cuda/vector.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float narrow(double x) { return static_cast<float>(x); }

// One thread: in double what every weight would compute alike. ops/optimizer.cpp says how each factor follows.
__global__ void __launch_bounds__(32) find_factors(OptimizerRule rule, OptimizerFactors* factors) {
  if (threadIdx.x != 0) return;
  const double norm = *rule.norm, rate = *rule.learning_rate, n = static_cast<double>(*rule.step);
  const double clipped = rule.clip_norm / (norm + 1e-6), warm = (1 + n) / (10 + n);
  const double ema_decay = rule.ema_warmup && warm < rule.ema_decay ? warm : rule.ema_decay;
  *factors = {.updates = isfinite(*rule.norm) != 0,
              .gradient = rule.clip_norm > 0 && clipped < 1 ? narrow(clipped) : 1.0f,
              .l2 = rule.decoupled ? 0.0f : narrow(rule.weight_decay),
              .shrink = rule.decoupled ? narrow(1 - rate * rule.weight_decay) : 1.0f,
              .beta1 = narrow(rule.beta1),
              .beta2 = narrow(rule.beta2),
              .eps = narrow(rule.eps),
              .m_share = narrow(1 - rule.beta1),
              .v_share = narrow(1 - rule.beta2),
              .momentum = narrow(rule.momentum),
              .rate = narrow(rate / (1 - pow(rule.beta1, n + 1))),
              .root = narrow(1 / sqrt(1 - pow(rule.beta2, n + 1))),
              .ema_share = narrow(1 - ema_decay)};
}

// A thread's four weights.
struct Share {
  std::int64_t first;
  int count;
  bool whole;
};
__device__ __forceinline__ Share share_of_thread(const Arenas& arenas) {
  const std::int64_t first = (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x) * kVector;
  const std::int64_t rest = arenas.n - first;
  const int count = rest >= kVector ? kVector : rest > 0 ? static_cast<int>(rest) : 0;
  return {first, count, arenas.in_vectors && count == kVector};
}
__device__ __forceinline__ Vector<float> load(const float* arena, const Share& share) {
  return load_up_to(arena + share.first, share.count, share.whole);
}
__device__ __forceinline__ void store(float* arena, const Share& share, const Vector<float>& values) {
  store_up_to(arena + share.first, values, share.count, share.whole);
}
__device__ __forceinline__ void follow(float* ema, const Share& share, const Vector<float>& weights, float ema_share) {
  Vector<float> old = load(ema, share);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) old.at[i] = fmaf(weights.at[i] - old.at[i], ema_share, old.at[i]);
  store(ema, share, old);
}

__global__ void __launch_bounds__(kThreads) update_adamw(const OptimizerFactors* factors, Arenas arenas) {
  const OptimizerFactors by = *factors;
  const Share share = share_of_thread(arenas);
  if (!by.updates || share.count == 0) return;
  const Vector<float> gradient = load(arenas.gradient, share);
  Vector<float> w = load(arenas.weights, share), m = load(arenas.m, share), v = load(arenas.v, share);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) {
    const bool decays = share.first + i < arenas.decayed;
    const float g = fmaf(w.at[i], decays ? by.l2 : 0.0f, gradient.at[i] * by.gradient);
    m.at[i] = fmaf(m.at[i], by.beta1, g * by.m_share);
    v.at[i] = fmaf(v.at[i], by.beta2, g * g * by.v_share);
    w.at[i] = w.at[i] * (decays ? by.shrink : 1.0f) - m.at[i] * by.rate / fmaf(sqrtf(v.at[i]), by.root, by.eps);
  }
  store(arenas.weights, share, w);
  store(arenas.m, share, m);
  store(arenas.v, share, v);
  if (arenas.ema) follow(arenas.ema, share, w, by.ema_share);
}

__global__ void __launch_bounds__(kThreads) update_sgd(const OptimizerFactors* factors, Arenas arenas) {
  const OptimizerFactors by = *factors;
  const Share share = share_of_thread(arenas);
  if (!by.updates || share.count == 0) return;
  Vector<float> g = load(arenas.gradient, share), w = load(arenas.weights, share);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i)
    g.at[i] = fmaf(w.at[i], share.first + i < arenas.decayed ? by.l2 : 0.0f, g.at[i] * by.gradient);
  if (arenas.velocity) {
    const Vector<float> velocity = load(arenas.velocity, share);
    CU_UNROLL
    for (int i = 0; i < kVector; ++i) g.at[i] = fmaf(velocity.at[i], by.momentum, g.at[i]);
    store(arenas.velocity, share, g);
  }
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) w.at[i] = w.at[i] - g.at[i] * by.rate;
  store(arenas.weights, share, w);
  if (arenas.ema) follow(arenas.ema, share, w, by.ema_share);
}

void decide(cu::Stream stream, const OptimizerRule& rule, OptimizerFactors* factors) {
  cu::launch({.grid = dim3(1), .block = dim3(32), .stream = stream}, find_factors, rule, factors);
}
using Update = void (*)(const OptimizerFactors*, Arenas);
template <Update update>
void run(cu::Stream stream, const OptimizerFactors* factors, const Arenas& arenas) {
  constexpr std::int64_t kWeightsABlock = kThreads * kVector;
  const auto blocks = static_cast<unsigned>((arenas.n + kWeightsABlock - 1) / kWeightsABlock);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, update, factors, arenas);
}

}  // namespace

template <>
const OptimizerKernels& optimizer_kernels<cu::Build>() {
  static constexpr OptimizerKernels table = {.decide = decide, .adamw = run<update_adamw>, .sgd = run<update_sgd>};
  return table;
}

}  // namespace gesso::cuda
