#include <algorithm>
#include <array>

#include "ops/winograd.h"
#include "ops/winograd_tiles.h"

namespace gesso::convolution {
namespace {

// Tiles that are transformed at a time: x and dy of them lie in L3.
constexpr std::int64_t kSharedBytes = 4 << 20;
// Tiles a chain of additions: each starts from zero and is added to the sum at its end, which takes two thirds off the
// error of one long chain.
constexpr std::int64_t kChain = 128;
constexpr std::int64_t kPanelsEach = 4;  // panels a chunk, whose dy comes from L3 once
constexpr std::int64_t kTilesEach = 8;   // tiles a chunk
constexpr std::int64_t kRowsEach = 8;    // register tiles, whose dy of a chain stays in L1 for all panels of a chunk
constexpr std::int64_t kBlock = 16;      // channels of dy that lie side by side, tile after tile

// The weight gradient of one group: for each plane, dy transposed times x, both transformed.
struct Gradient {
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
  Parts parts;
  std::vector<Tiles> tiles;                         // of y
  std::int64_t channels, rows, width, part_panels;  // result [rows = K, parts, channels]
  std::int64_t tiles_each = 0;
  std::int64_t x_plane = 0, dy_plane = 0, sums_plane = 0;
  float* x = nullptr;     // [planes][panels][tiles_each][width], transformed
  float* dy = nullptr;    // [planes][blocks of rows][tiles_each][kBlock], transformed
  float* sums = nullptr;  // [planes][rows][sum_floats]

  std::int64_t planes() const { return std::int64_t{winograd.patch} * winograd.patch; }
  std::int64_t panels() const { return parts.count() * part_panels; }
  std::int64_t dy_floats() const { return divide_up(rows, kBlock) * kBlock; }
  std::int64_t sum_floats() const { return panels() * width; }
};

// The tiles [first + begin, first + end), to where those of `first` on lie.
void transform(const Gradient& g, const Tiles& tiles, const View& x, const View& dy, std::int64_t first,
               std::int64_t begin, std::int64_t end) {
  const auto input = g.winograd.input[tiles.down.is_short][tiles.across.is_short];
  const auto output_gradient = g.winograd.output_gradient[tiles.down.is_short][tiles.across.is_short];
  for_each_square(x, tiles, first + begin, first + end, 0, x.parts.count(),
                  [&](std::int64_t tile, std::int64_t part, const float* const* square, const float* const* next) {
                    input({.pixels = square,
                           .channels = g.channels,
                           .next = next,
                           .planes = g.x + (part * g.part_panels * g.tiles_each + tile - first) * g.width,
                           .plane = g.x_plane,
                           .block = g.width,
                           .block_apart = g.tiles_each * g.width});
                  });
  for_each_square(dy, tiles, first + begin, first + end, 0, 1,
                  [&](std::int64_t tile, std::int64_t, const float* const* square, const float* const* next) {
                    output_gradient({.pixels = square,
                                     .channels = g.rows,
                                     .next = next,
                                     .planes = g.dy + (tile - first) * kBlock,
                                     .plane = g.dy_plane,
                                     .block = kBlock,
                                     .block_apart = g.tiles_each * kBlock});
                  });
}

// sums[row.., columns of the panel] (+)= the sum over `count` tiles from `tile` on, of one plane and one register tile.
void multiply_tile(const Gradient& g, std::int64_t plane, std::int64_t row, std::int64_t panel, std::int64_t tile,
                   std::int64_t count, bool add) {
  const float* dy = g.dy + plane * g.dy_plane + tile * kBlock;
  std::array<const float*, GemmKernels::kMaxRows> rows;
  std::array<std::int64_t, GemmKernels::kMaxRows> offsets;
  for (std::int64_t i = 0; i < g.gemm.rows; ++i) {
    const std::int64_t k = std::min(row + i, g.rows - 1);
    rows[static_cast<std::size_t>(i)] = dy + k / kBlock * g.tiles_each * kBlock + k % kBlock;
    offsets[static_cast<std::size_t>(i)] = (row + i) * g.sum_floats();
  }
  g.gemm.tile({.taps = 1,
               .channels = count,
               .rows = rows.data(),
               .first_channel = 0,
               .panel = g.x + plane * g.x_plane + (panel * g.tiles_each + tile) * g.width,
               .out = g.sums + plane * g.sums_plane + panel * g.width,
               .row_offsets = offsets.data(),
               .row_count = std::min<std::int64_t>(g.gemm.rows, g.rows - row),
               .column_count = std::min(g.width, g.channels - panel % g.part_panels * g.width),
               .add = add,
               .epilogue = nullptr,
               .step = kBlock});
}

// The same for the panels [begin, end), all rows and the tiles [0, count).
void multiply_panels(const Gradient& g, std::int64_t plane, std::int64_t begin, std::int64_t end, std::int64_t count,
                     bool add) {
  const std::int64_t rows_each = kRowsEach * g.gemm.rows;
  for (std::int64_t tile = 0; tile < count; tile += kChain)
    for (std::int64_t first = 0; first < g.rows; first += rows_each)
      for (std::int64_t panel = begin; panel < end; ++panel)
        for (std::int64_t row = first; row < std::min(first + rows_each, g.rows); row += g.gemm.rows)
          multiply_tile(g, plane, row, panel, tile, std::min(kChain, count - tile), add || tile > 0);
}

// sums (+)= those over the tiles of one shape; they are added in the planes that `has_sums`, which they set.
void sum_tiles(const Execution& run, const Gradient& g, const Tiles& tiles, const View& x, const View& dy,
               std::array<bool, WinogradKernels::kMaxPlanes>& has_sums) {
  const std::int64_t panel_blocks = divide_up(g.panels(), kPanelsEach);
  const std::vector<std::int64_t> planes = planes_of(g.winograd, tiles);
  for (std::int64_t first = 0; first < tiles.count(); first += g.tiles_each) {
    const std::int64_t count = std::min(g.tiles_each, tiles.count() - first);
    parallel_for(run.pool, count, kTilesEach,
                 [&](std::int64_t begin, std::int64_t end) { transform(g, tiles, x, dy, first, begin, end); });
    run.pool.run(std::ssize(planes) * panel_blocks, [&](std::int64_t chunk, int) {
      const std::int64_t plane = planes[static_cast<std::size_t>(chunk / panel_blocks)];
      const std::int64_t begin = chunk % panel_blocks * kPanelsEach;
      multiply_panels(g, plane, begin, std::min(begin + kPanelsEach, g.panels()), count,
                      has_sums[static_cast<std::size_t>(plane)]);
    });
    for (const std::int64_t plane : planes) has_sums[static_cast<std::size_t>(plane)] = true;
  }
}

void run_group(const Execution& run, const Gradient& g, const View& x, const View& dy, float* dweight) {
  const Parts& parts = g.parts;
  std::array<bool, WinogradKernels::kMaxPlanes> has_sums{};
  for (const Tiles& tiles : g.tiles) sum_tiles(run, g, tiles, x, dy, has_sums);
  for (std::int64_t plane = 0; run.computes() && plane < g.planes(); ++plane)
    if (!has_sums[static_cast<std::size_t>(plane)]) std::fill_n(g.sums + plane * g.sums_plane, g.sums_plane, 0.0f);
  parallel_for(run.pool, g.rows, kTilesEach, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k)
      for (std::int64_t part = 0; part < parts.count(); ++part)
        g.winograd.weight_gradient(g.channels, g.sums + k * g.sum_floats() + part * g.part_panels * g.width,
                                   g.sums_plane,
                                   dweight + (k * parts.kernel() * parts.kernel() + parts.first_tap(part)) * g.channels,
                                   parts.tap_below() * g.channels, parts.next_tap() * g.channels);
  });
}

}  // namespace

void weight_gradient_by_winograd(const Execution& run, ConvAlgorithm algorithm, const ConvGeometry& geometry,
                                 const float* x, const float* dy, float* dweight) {
  const std::int64_t group_c = geometry.C / geometry.groups, group_k = geometry.K / geometry.groups;
  const Parts parts = {.stride = geometry.stride_h, .taps = geometry.kernel_h / geometry.stride_h};
  const GemmKernels& gemm = gemm::kernels(run.isa);
  const WinogradKernels& winograd = winograd_kernels(algorithm, parts.taps, run.isa);
  Gradient g = {.gemm = gemm,
                .winograd = winograd,
                .parts = parts,
                .tiles = tiles_of(winograd, geometry.N, geometry.OH, geometry.OW),
                .channels = group_c,
                .rows = group_k,
                .width = gemm.columns,
                .part_panels = divide_up(group_c, gemm.columns)};
  const std::int64_t tile_floats = g.planes() * (g.sum_floats() + g.dy_floats());
  const std::int64_t most = std::max(kSharedBytes / 4 / tile_floats / kChain * kChain, kChain);
  const Tiles& largest = *std::ranges::max_element(g.tiles, {}, &Tiles::count);
  g.tiles_each = std::min(most, largest.count());
  g.x_plane = plane_apart(g.tiles_each * g.sum_floats());
  g.dy_plane = plane_apart(g.tiles_each * g.dy_floats());
  g.sums_plane = plane_apart(g.rows * g.sum_floats());
  const Tensor memory = run.scratch({{g.planes(), g.x_plane + g.dy_plane + g.sums_plane}, DType::f32});
  g.x = memory.data<float>().data();
  g.dy = g.x + g.planes() * g.x_plane;
  g.sums = g.dy + g.planes() * g.dy_plane;
  const Tensor zeros = Tensor::zeros({{std::max(group_c, group_k)}, DType::f32}, run.device);
  for (std::int64_t group = 0; group < geometry.groups; ++group) {
    const Image image = {x + group * group_c, geometry.H, geometry.W, geometry.C, zeros.data<float>().data()};
    const Image gradient = {dy + group * group_k, geometry.OH, geometry.OW, geometry.K, zeros.data<float>().data()};
    run_group(run, g, {image, parts, -geometry.pad_top, -geometry.pad_left}, {gradient, {.stride = 1, .taps = 1}, 0, 0},
              dweight + group * group_k * geometry.taps() * group_c);
  }
}

}  // namespace gesso::convolution
