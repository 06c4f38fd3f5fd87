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

struct Machine {
  Isa isa;
  std::int64_t rows, lanes;

  explicit Machine(Isa of) : isa(of), rows(gemm::kernels(isa).rows), lanes(by_isa<std::int64_t>(isa, 4, 8, 16)) {}
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
  const WinogradKernels& winograd = winograd_kernels(algorithm, s.taps == 4 ? 2 : 3, machine.isa);
  const bool is_gradient = pass == Pass::weight_gradient;
  double sum = machine.vectors(s.channels * s.results) * (is_gradient ? cost.weight_gradient : cost.weight);
  for (const Tiles& tiles : tiles_of(winograd, s.N, s.height, s.width)) {
    const auto count = static_cast<double>(tiles.count()),
               planes = static_cast<double>(planes_of(winograd, tiles).size());
    const double product = is_gradient ? machine.product(s.results, s.channels, tiles.count())
                                       : machine.product(tiles.count(), s.results, s.channels);
    const double of_results = is_gradient ? cost.output_gradient : cost.output;
    const double transforms = machine.vectors(s.channels) * cost.input + machine.vectors(s.results) * of_results;
    // A transform's cost goes with the values of a tile.
    sum += planes * product / kWinogradShare +
           count * transforms * planes / static_cast<double>(winograd.patch * winograd.patch);
  }
  return sum;
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

std::vector<Tiles> tiles_of(const WinogradKernels& winograd, std::int64_t N, std::int64_t height, std::int64_t width) {
  const auto side = [&](std::int64_t extent, bool is_short) -> Tiles::Side {
    const std::int64_t size = winograd.tile, count = divide_up(extent, size);
    const std::int64_t shorts = winograd.left_out < 0 ? 0 : std::min(count, count * size - extent);
    if (is_short) return {extent, (count - shorts) * size, shorts, size - 1, true};
    return {extent, 0, count - shorts, size, false};
  };
  std::vector<Tiles> shapes;
  for (const bool is_short_down : {false, true})
    for (const bool is_short_across : {false, true}) {
      shapes.push_back({N, side(height, is_short_down), side(width, is_short_across)});
      if (shapes.back().count() == 0) shapes.pop_back();
    }
  return shapes;
}

std::vector<std::int64_t> planes_of(const WinogradKernels& winograd, const Tiles& tiles) {
  std::vector<std::int64_t> planes;
  const auto has = [&](const Tiles::Side& side, int point) { return !side.is_short || point != winograd.left_out; };
  for (int i = 0; i < winograd.patch; ++i)
    for (int j = 0; j < winograd.patch; ++j)
      if (has(tiles.down, i) && has(tiles.across, j)) planes.push_back(i * winograd.patch + j);
  return planes;
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
  // keep to that but for the weight's gradient. The gradient of a bias behind silu is a sum with signs over what the
  // forward pass's error touched.
  constexpr double kBound = 2e-6;
  const auto by_winograd4 = [&](Pass pass) {
    return std::ranges::any_of(supported_isas(),
                               [&](Isa isa) { return plan(g, pass, isa) == ConvAlgorithm::winograd4; });
  };
  if (activation == Activation::silu && by_winograd4(forward)) return 3 * kBound;
  return by_winograd4(Pass::weight_gradient) ? 2 * kBound : kBound;
}

}  // namespace gesso::convolution
