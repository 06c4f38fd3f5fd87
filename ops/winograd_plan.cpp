#include <algorithm>

#include "ops/winograd.h"
#include "ops/winograd_tiles.h"

namespace gesso::convolution {
namespace {

// With fewer channels the direct way has paths of its own and transforms do not pay.
constexpr std::int64_t kFewestChannels = 16;

// Costs in multiply-adds of a vector. What a transform costs for a vector of channels, or of pairs of channels for the
// weight: these mostly what it takes to write and read them in L3. Measured on one core of a Zen 3:
// docs/performance.md.
struct TransformCost {
  double input, output, output_gradient, weight, weight_gradient;
};
constexpr TransformCost kCost2 = {130, 100, 100, 580, 400};
constexpr TransformCost kCost4 = {390, 320, 260, 1300, 1100};
// By the values that they read and write, from those of kCost4.
constexpr TransformCost kCost4By2 = {270, 250, 205, 840, 700};
// The share of the arithmetic units that the register tile keeps busy.
constexpr double kDirectShare = 0.9, kDirectGradientShare = 0.75, kWinogradShare = 0.85;

std::int64_t round_up(std::int64_t n, std::int64_t to) { return divide_up(n, to) * to; }

struct Machine {
  std::int64_t rows, lanes;

  explicit Machine(Isa isa) : rows(gemm::kernels(isa).rows), lanes(by_isa<std::int64_t>(isa, 4, 8, 16)) {}
  double vectors(std::int64_t floats) const { return static_cast<double>(divide_up(floats, lanes)); }
  // Of [m,k] times [k,n].
  double product(std::int64_t m, std::int64_t n, std::int64_t k) const {
    return static_cast<double>(round_up(m, rows)) * static_cast<double>(k) * vectors(n);
  }
};

// One group of a pass, or one of its phases: `channels` in (of each part of the kernel), `results` out, or the gradient
// of the weight between them.
struct Sizes {
  std::int64_t N, height, width, channels, results;  // of the grid that is computed, of y for the weight
  std::int64_t taps;                                 // of a part
};

double direct_cost(const Machine& machine, const Sizes& s, Pass pass) {
  const std::int64_t pixels = s.N * s.height * s.width;
  if (pass == Pass::weight_gradient)
    return machine.product(s.results, s.taps * s.channels, pixels) / kDirectGradientShare;
  return machine.product(pixels, s.results, s.taps * s.channels) / kDirectShare;
}

double winograd_cost(const Machine& machine, const Sizes& s, Pass pass, ConvAlgorithm algorithm) {
  const TransformCost& cost = s.taps == 4 ? kCost4By2 : algorithm == ConvAlgorithm::winograd4 ? kCost4 : kCost2;
  const std::int64_t size = algorithm == ConvAlgorithm::winograd4 ? 4 : 2, patch = s.taps == 4 ? size + 1 : size + 2;
  const Tiles tiles = {s.N, s.height, s.width, size};
  const double planes = static_cast<double>(patch * patch), count = static_cast<double>(tiles.count());
  const double pixels = count * machine.vectors(s.channels), results = count * machine.vectors(s.results);
  const double weights = machine.vectors(s.channels * s.results);
  if (pass == Pass::weight_gradient)
    return planes * machine.product(s.results, s.channels, tiles.count()) / kWinogradShare + pixels * cost.input +
           results * cost.output_gradient + weights * cost.weight_gradient;
  return planes * machine.product(tiles.count(), s.results, s.channels) / kWinogradShare + pixels * cost.input +
         results * cost.output + weights * cost.weight;
}

bool is_square(const ConvGeometry& g, std::int64_t kernel, std::int64_t stride) {
  return g.kernel_h == kernel && g.kernel_w == kernel && g.stride_h == stride && g.stride_w == stride &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.x_count() > 0 && g.y_count() > 0;
}

bool applies(const ConvGeometry& g, ConvAlgorithm algorithm) {
  return is_square(g, 3, 1) || (is_square(g, 4, 2) && algorithm == ConvAlgorithm::winograd4);
}

// With stride 2 the forward pass and the weight have four parts that see C channels each, the gradient of the input
// four phases, of which this is one.
Sizes sizes_of(const ConvGeometry& g, Pass pass) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, parts = g.stride_h * g.stride_w;
  const std::int64_t taps = g.taps() / parts;
  if (pass == Pass::input_gradient)
    return {g.N, divide_up(g.H, g.stride_h), divide_up(g.W, g.stride_w), group_k, group_c, taps};
  return {g.N, g.OH, g.OW, parts * group_c, group_k, taps};
}

}  // namespace

const WinogradKernels& winograd_kernels(ConvAlgorithm algorithm, std::int64_t taps, Isa isa) {
  const WinogradTable& table =
      by_isa(isa, winograd_table<simd::Baseline>, winograd_table<simd::Avx2>, winograd_table<simd::Avx512>)();
  if (taps == 2) return table.f4_by_2;
  return algorithm == ConvAlgorithm::winograd4 ? table.f4 : table.f2;
}

ConvAlgorithm plan(const ConvGeometry& g, Pass pass, Isa isa) {
  const ConvAlgorithm asked = g.algorithm == ConvAlgorithm::automatic ? conv_algorithm() : g.algorithm;
  if (asked != ConvAlgorithm::automatic) return applies(g, asked) ? asked : ConvAlgorithm::direct;
  if (std::min(g.C, g.K) / g.groups < kFewestChannels) return ConvAlgorithm::direct;
  const Sizes sizes = sizes_of(g, pass);
  const Machine machine(isa);
  ConvAlgorithm best = ConvAlgorithm::direct;
  double least = direct_cost(machine, sizes, pass);
  for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd2, ConvAlgorithm::winograd4}) {
    if (!applies(g, algorithm)) continue;
    const double cost = winograd_cost(machine, sizes, pass, algorithm);
    if (cost >= least) continue;
    least = cost;
    best = algorithm;
  }
  return best;
}

double error_bound(const ConvGeometry& g, Pass forward, Activation activation) {
  // Sums of up to a few thousand terms of the size of one; on the baseline each is rounded twice. F(4x4)'s own results
  // keep to that. The gradient of a bias behind silu, a sum with signs over what the forward pass's error touched, does
  // not.
  constexpr double kBound = 2e-6;
  const auto runs_winograd4 = [&](Isa isa) { return plan(g, forward, isa) == ConvAlgorithm::winograd4; };
  return activation == Activation::silu && std::ranges::any_of(supported_isas(), runs_winograd4) ? 2 * kBound : kBound;
}

}  // namespace gesso::convolution
