#include "ops/winograd.h"

#include <algorithm>
#include <array>

#include "ops/winograd_tiles.h"

namespace gesso::convolution {
namespace {

// Tiles that one thread takes through all three steps, a panel at a time: what they fill is to stay in L2.
constexpr std::int64_t kBlockBytes = 400 << 10;
// What the blocks of all threads fill at least: one large page. Small pages lie in L2 as chance has it, and meet there.
constexpr std::int64_t kLargePage = 2 << 20;
// Fewer tiles at a time would fetch the weights too often.
constexpr std::int64_t kFewestRows = 3;  // register tiles
// Fewer chunks leave threads without work.
constexpr std::int64_t kFewestBlocks = 16;
// Tiles that all threads take through each step together: what they fill lies in L3.
constexpr std::int64_t kSharedBytes = 4 << 20;
// Panels a chunk of shared work; a plane's transformed pixels come from L3 once for all of them.
constexpr std::int64_t kPanelsEach = 4;
// Tiles a chunk in the steps of shared work that transform, and channels a chunk of the weight's transform.
constexpr std::int64_t kTilesEach = 8, kChannelsEach = 32;
// Channels a chain of additions: with chains of 64 the error was up to 3.2 times that of the direct way at 400
// channels.
constexpr std::int64_t kChain = 32;

struct Product {
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
  Image image;
  Parts parts;
  std::int64_t shift_h, shift_w;  // from a pixel of the grid, times the stride, to the first that its taps see
  Tiles tiles;                    // of the grid
  std::int64_t part_channels, columns, width, panels;
  const float* weight;  // [panels][planes][channels][width]
  std::int64_t weight_plane;
  const Gather& gather;  // where results go
  float* c;
  const GemmEpilogue& epilogue;

  std::int64_t planes() const { return std::int64_t{winograd.patch} * winograd.patch; }
  std::int64_t channels() const { return parts.count() * part_channels; }
  // One transformed pixel of a plane: the parts side by side.
  std::int64_t pixel_floats() const { return channels() - part_channels + whole_vectors(part_channels); }
  // Of `tiles` tiles and the sums of `sum_panels` panels.
  std::int64_t block_floats(std::int64_t tile_count, std::int64_t sum_panels) const {
    return planes() * (plane_apart(tile_count * pixel_floats()) + sum_panels * plane_apart(tile_count * width));
  }
};

// Some tiles and the memory of what is computed for them.
struct Block {
  std::int64_t first, count;
  std::int64_t pixels_plane, sums_plane;
  float* pixels;    // [planes][count][pixel_floats]
  float* sums;      // [panels][planes][count][width]
  gemm::Rows rows;  // of plane 0; those of others lie whole planes behind

  Block(const Product& p, std::int64_t first_tile, std::int64_t tile_count, float* memory)
      : first(first_tile),
        count(tile_count),
        pixels_plane(plane_apart(tile_count * p.pixel_floats())),
        sums_plane(plane_apart(tile_count * p.width)),
        pixels(memory),
        sums(memory + p.planes() * pixels_plane) {
    const std::int64_t height = p.gemm.rows, chains = divide_up(p.channels(), kChain);
    rows.count = count;
    for (std::int64_t row = 0; row < count; row += height) {
      for (std::int64_t chain = 0; chain < chains; ++chain)
        for (std::int64_t i = 0; i < height; ++i)
          rows.pointers.push_back(pixels + std::min(row + i, count - 1) * p.pixel_floats() + chain * kChain);
      for (std::int64_t i = 0; i < height; ++i) rows.offsets.push_back((row + i) * p.width);
    }
  }
  float* sums_of(const Product& p, std::int64_t panel) const { return sums + panel * p.planes() * sums_plane; }
};

// Step 1, for the tiles [begin, end) of a block. What a part writes beyond its last channel, the next one overwrites.
void transform_pixels(const Product& p, const Block& block, std::int64_t begin, std::int64_t end) {
  Square square;
  for (std::int64_t i = begin; i < end; ++i) {
    const Tiles::At at = p.tiles.at(block.first + i);
    const std::int64_t h = at.h * p.parts.stride + p.shift_h, w = at.w * p.parts.stride + p.shift_w;
    for (std::int64_t part = 0; part < p.parts.count(); ++part) {
      look_at(p.image, {at.n, h + p.parts.down(part), w + p.parts.across(part)}, p.winograd.patch, p.parts.stride,
              square);
      p.winograd.input({.pixels = square.data(),
                        .channels = p.part_channels,
                        .planes = block.pixels + i * p.pixel_floats() + part * p.part_channels,
                        .plane = block.pixels_plane,
                        .block = whole_vectors(p.part_channels),
                        .block_apart = 0});
    }
  }
}

// Step 2, for one plane and one panel: sums[tiles, width] = pixels[tiles, channels] panel[channels, width].
void multiply_panel(const Product& p, const Block& block, std::int64_t plane, std::int64_t panel, float* sums) {
  const std::int64_t whole = p.channels() / kChain, rest = p.channels() % kChain, chains = whole + (rest > 0 ? 1 : 0);
  GemmTile tile = {.taps = 0,
                   .channels = 0,
                   .rows = nullptr,
                   .first_channel = plane * block.pixels_plane,
                   .panel = nullptr,
                   .out = sums + plane * block.sums_plane,
                   .row_offsets = nullptr,
                   .row_count = 0,
                   .column_count = std::min(p.width, p.columns - panel * p.width),
                   .add = false,
                   .epilogue = nullptr,
                   .chains = whole > 1};
  const float* weight = p.weight + (panel * p.planes() + plane) * p.weight_plane;
  const auto add_chains = [&](std::int64_t first, std::int64_t count, std::int64_t channels, std::int64_t row) {
    tile.taps = count;
    tile.channels = channels;
    tile.rows = block.rows.pointers.data() + row * chains + first * p.gemm.rows;
    tile.panel = weight + first * kChain * p.width;
    tile.add = first > 0;
    p.gemm.tile(tile);
  };
  for (std::int64_t row = 0; row < block.count; row += p.gemm.rows) {
    tile.row_offsets = block.rows.offsets.data() + row;
    tile.row_count = std::min<std::int64_t>(p.gemm.rows, block.count - row);
    if (whole > 0) add_chains(0, whole, kChain, row);
    if (rest > 0) add_chains(whole, 1, rest, row);
  }
}

// Step 3, for the tiles [begin, end) of a block and the columns of one panel.
void transform_sums(const Product& p, const Block& block, std::int64_t begin, std::int64_t end, std::int64_t panel,
                    const float* sums) {
  const std::int64_t column = panel * p.width;
  for (std::int64_t i = begin; i < end; ++i) {
    const Tiles::At at = p.tiles.at(block.first + i);
    const std::int64_t offset =
        at.n * p.gather.n_stride + at.h * p.gather.h_stride + at.w * p.gather.w_stride + p.gather.start + column;
    p.winograd.output({.sums = sums + i * p.width,
                       .plane = block.sums_plane,
                       .channels = std::min(p.width, p.columns - column),
                       .out = p.c + offset,
                       .h_stride = p.gather.h_stride,
                       .w_stride = p.gather.w_stride,
                       .rows = std::min(p.tiles.size, p.tiles.height - at.h),
                       .columns = std::min(p.tiles.size, p.tiles.width - at.w),
                       .bias = p.epilogue.bias == nullptr ? nullptr : p.epilogue.bias + column,
                       .residual = p.epilogue.residual == nullptr ? nullptr : p.epilogue.residual + offset,
                       .activation = p.epilogue.activation});
  }
}

// The most tiles, whole register tiles, that fill no more bytes than that.
std::int64_t tiles_within(const Product& p, std::int64_t bytes, std::int64_t sum_panels) {
  const std::int64_t each = 4 * p.planes() * (p.pixel_floats() + sum_panels * p.width);
  return bytes / each / p.gemm.rows * p.gemm.rows;
}

// Each chunk is a block of tiles of its own.
void multiply_in_blocks(const Execution& run, const Product& p, std::int64_t tiles_each) {
  const std::int64_t floats = p.block_floats(tiles_each, 1);
  const std::int64_t all = std::max<std::int64_t>(run.pool.threads() * floats, kLargePage / 4);
  const Tensor memory = run.scratch({{all}, DType::f32});
  run.pool.run(divide_up(p.tiles.count(), tiles_each), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk * tiles_each;
    const Block block(p, first, std::min(tiles_each, p.tiles.count() - first),
                      memory.data<float>().data() + worker * floats);
    transform_pixels(p, block, 0, block.count);
    for (std::int64_t panel = 0; panel < p.panels; ++panel) {
      for (std::int64_t plane = 0; plane < p.planes(); ++plane) multiply_panel(p, block, plane, panel, block.sums);
      transform_sums(p, block, 0, block.count, panel, block.sums);
    }
  });
}

// All threads share one block at a time, and in it the planes.
void multiply_in_planes(const Execution& run, const Product& p) {
  const std::int64_t most = std::max(tiles_within(p, kSharedBytes, p.panels), kFewestRows * p.gemm.rows);
  const std::int64_t rounds = divide_up(p.tiles.count(), most);
  const std::int64_t each = divide_up(divide_up(p.tiles.count(), rounds), p.gemm.rows) * p.gemm.rows;
  const Tensor memory = run.scratch({{p.block_floats(std::min(each, p.tiles.count()), p.panels)}, DType::f32});
  const std::int64_t panel_blocks = divide_up(p.panels, kPanelsEach);
  for (std::int64_t first = 0; first < p.tiles.count(); first += each) {
    const Block block(p, first, std::min(each, p.tiles.count() - first), memory.data<float>().data());
    parallel_for(run.pool, block.count, kTilesEach,
                 [&](std::int64_t begin, std::int64_t end) { transform_pixels(p, block, begin, end); });
    run.pool.run(p.planes() * panel_blocks, [&](std::int64_t chunk, int) {
      const std::int64_t begin = chunk % panel_blocks * kPanelsEach;
      for (std::int64_t panel = begin; panel < std::min(begin + kPanelsEach, p.panels); ++panel)
        multiply_panel(p, block, chunk / panel_blocks, panel, block.sums_of(p, panel));
    });
    parallel_for(run.pool, block.count, kTilesEach, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t panel = 0; panel < p.panels; ++panel)
        transform_sums(p, block, begin, end, panel, block.sums_of(p, panel));
    });
  }
}

// [panels][planes][parts][channels][width], planes plane_apart(parts * channels * width) floats from each other.
Tensor transform_weight(const Execution& run, const WinogradKernels& winograd, const Parts& parts,
                        const gemm::Panels& panels) {
  const std::int64_t area = panels.channels * panels.width, apart = plane_apart(parts.count() * area);
  const std::int64_t planes = std::int64_t{winograd.patch} * winograd.patch;
  Tensor transformed = run.scratch({{panels.count(), planes, apart}, DType::f32});
  float* to = transformed.data<float>().data();
  const std::int64_t pieces = divide_up(panels.channels, kChannelsEach);
  run.pool.run(panels.count() * parts.count() * pieces, [&](std::int64_t chunk, int) {
    const std::int64_t panel = chunk / pieces / parts.count(), part = chunk / pieces % parts.count();
    const std::int64_t first = chunk % pieces * kChannelsEach;
    const std::int64_t count = std::min(kChannelsEach, panels.channels - first) * panels.width;
    const std::int64_t offset = first * panels.width;
    winograd.weight(count, panels.panel(panel) + parts.first_tap(part) * area + offset, parts.tap_below() * area,
                    parts.next_tap() * area, to + panel * planes * apart + part * area + offset, apart);
  });
  return transformed;
}

}  // namespace

void multiply_by_winograd(const Execution& run, ConvAlgorithm algorithm, const Gather& gather,
                          const gemm::Panels& panels, float* c, const GemmEpilogue& epilogue) {
  const Parts parts = {.stride = gather.step_h, .taps = panels.taps == 9 ? 3 : 2};
  const WinogradKernels& winograd = winograd_kernels(algorithm, parts.taps, run.isa);
  const Tensor zeros = Tensor::zeros({{panels.channels}, DType::f32}, run.device);
  const Tensor weight = transform_weight(run, winograd, parts, panels);
  const Product product = {
      .gemm = gemm::kernels(run.isa),
      .winograd = winograd,
      .image = {gather.image, gather.image_h, gather.image_w, gather.image_c, zeros.data<float>().data()},
      .parts = parts,
      .shift_h = gather.taps[0].shift_h,
      .shift_w = gather.taps[0].shift_w,
      .tiles = {gather.N, gather.grid_h, gather.grid_w, winograd.tile},
      .part_channels = panels.channels,
      .columns = panels.columns,
      .width = panels.width,
      .panels = panels.count(),
      .weight = weight.data<float>().data(),
      .weight_plane = plane_apart(parts.count() * panels.channels * panels.width),
      .gather = gather,
      .c = c,
      .epilogue = epilogue};
  const std::int64_t block = tiles_within(product, kBlockBytes, 1);
  if (block >= kFewestRows * product.gemm.rows && product.tiles.count() >= kFewestBlocks * block)
    multiply_in_blocks(run, product, block);
  else
    multiply_in_planes(run, product);
}

}  // namespace gesso::convolution
