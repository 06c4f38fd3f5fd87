#include "ops/winograd.h"

#include <algorithm>
#include <array>

#include "ops/winograd_tiles.h"

namespace gesso::convolution {
namespace {

// Tiles that one thread takes through all three steps, a panel at a time: what they fill is to stay in L2.
constexpr std::int64_t kBlockBytes = 470 << 10;
// What the blocks of all threads fill at least: one large page. Small pages lie in L2 as chance has it, and meet there.
constexpr std::int64_t kLargePage = 2 << 20;
// Fewer tiles at a time would fetch the weights too often.
constexpr std::int64_t kFewestRows = 2;  // register tiles
// Fewer chunks leave threads without work.
constexpr std::int64_t kFewestBlocks = 16;
// Tiles that all threads take through each step together: what they fill lies in L3.
constexpr std::int64_t kSharedBytes = 4 << 20;
// Panels a chunk of shared work; a plane's transformed pixels come from L3 once for all of them.
constexpr std::int64_t kPanelsEach = 4;
// Tiles a chunk in the steps of shared work that transform, and channels a chunk of the weight's transform.
constexpr std::int64_t kTilesEach = 8, kChannelsEach = 32;
// Channels a chain of additions; longer ones are faster. With chains of 64 the error was up to 3.2 times that of the
// direct way at 400 channels.
constexpr std::int64_t kChain = 64, kManyChannels = 256, kChainOfMany = 32;

struct Product {
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
  Image image;
  Parts parts;
  std::int64_t shift_h, shift_w;   // from a pixel of the grid, times the stride, to the first that its taps see
  Tiles tiles;                     // of the grid
  std::vector<std::int64_t> used;  // planes of these tiles
  std::int64_t part_channels, columns, width, panels;
  Tensor transformed_weight;  // [panels][planes][channels][width]
  std::int64_t weight_plane;
  const Gather& gather;  // where results go
  float* c;
  const GemmEpilogue& epilogue;

  std::int64_t planes() const { return std::int64_t{winograd.patch} * winograd.patch; }
  std::int64_t channels() const { return parts.count() * part_channels; }
  // One transformed pixel of a plane: the parts side by side.
  std::int64_t pixel_floats() const { return channels() - part_channels + whole_vectors(part_channels); }
  const float* weight_of(std::int64_t plane, std::int64_t panel) const {
    return transformed_weight.data<float>().data() + (panel * planes() + plane) * weight_plane;
  }
  // Of so many tiles: floats from one plane to the next.
  std::int64_t pixels_plane(std::int64_t tile_count) const {
    return plane_apart(round_up(tile_count, gemm.rows) * pixel_floats());
  }
  std::int64_t sums_plane(std::int64_t tile_count) const {
    return plane_apart(round_up(tile_count, gemm.rows) * width);
  }
  // Of so many tiles and the sums of so many panels.
  std::int64_t block_floats(std::int64_t tile_count, std::int64_t sum_panels) const {
    return planes() * (pixels_plane(tile_count) + sum_panels * sums_plane(tile_count));
  }
};

// Some tiles and the memory of what is computed for them: whole register tiles.
struct Block {
  std::int64_t first, count;
  std::int64_t pixels_plane, sums_plane;
  float* pixels;  // [planes][count][pixel_floats]
  float* sums;    // [panels][planes][count][width]

  Block(const Product& p, std::int64_t first_tile, std::int64_t tile_count, float* memory)
      : first(first_tile),
        count(tile_count),
        pixels_plane(p.pixels_plane(tile_count)),
        sums_plane(p.sums_plane(tile_count)),
        pixels(memory),
        sums(memory + p.planes() * pixels_plane) {}
  float* sums_of(const Product& p, std::int64_t panel) const { return sums + panel * p.planes() * sums_plane; }
};

// Step 1, for the tiles [begin, end) of a block. What a part writes beyond its last channel, the next one overwrites.
void transform_pixels(const Product& p, const Block& block, std::int64_t begin, std::int64_t end) {
  Square square;
  const auto input = p.winograd.input[p.tiles.down.is_short][p.tiles.across.is_short];
  for (std::int64_t i = begin; i < end; ++i) {
    const Tiles::At at = p.tiles.at(block.first + i);
    const std::int64_t h = at.h * p.parts.stride + p.shift_h, w = at.w * p.parts.stride + p.shift_w;
    for (std::int64_t part = 0; part < p.parts.count(); ++part) {
      look_at(p.image, {at.n, h + p.parts.down(part), w + p.parts.across(part)}, p.tiles.down.size + p.parts.taps - 1,
              p.tiles.across.size + p.parts.taps - 1, p.parts.stride, square);
      input({.pixels = square.data(),
             .channels = p.part_channels,
             .ahead = p.tiles.across.size * p.parts.stride * p.image.apart,
             .planes = block.pixels + i * p.pixel_floats() + part * p.part_channels,
             .plane = block.pixels_plane,
             .block = whole_vectors(p.part_channels),
             .block_apart = 0});
    }
  }
}

// Step 2, for one plane and one panel: sums[tiles, width] = pixels[tiles, channels] panel[channels, width]. next: what
// weight comes next, or null.
void multiply_panel(const Product& p, const Block& block, std::int64_t plane, std::int64_t panel, const float* next,
                    float* sums) {
  p.gemm.multiply_rows({.rows = block.count,
                        .channels = p.channels(),
                        .chain = p.channels() > kManyChannels ? kChainOfMany : kChain,
                        .x = block.pixels + plane * block.pixels_plane,
                        .x_apart = p.pixel_floats(),
                        .panel = p.weight_of(plane, panel),
                        .next_panel = next,
                        .out = sums + plane * block.sums_plane,
                        .out_apart = p.width,
                        .column_count = std::min(p.width, p.columns - panel * p.width)});
}

// Step 3, for the tiles [begin, end) of a block and the columns of one panel.
void transform_sums(const Product& p, const Block& block, std::int64_t begin, std::int64_t end, std::int64_t panel,
                    const float* sums) {
  const std::int64_t column = panel * p.width;
  const auto output = p.winograd.output[p.tiles.down.is_short][p.tiles.across.is_short];
  const GemmEpilogue epilogue = gemm::from_column(p.epilogue, column);
  for (std::int64_t i = begin; i < end; ++i) {
    const Tiles::At at = p.tiles.at(block.first + i);
    const std::int64_t place = at.h * p.gather.h_stride + at.w * p.gather.w_stride + p.gather.start;  // in its image
    const std::int64_t offset = at.n * p.gather.n_stride + place;
    output(
        {.sums = sums + i * p.width,
         .plane = block.sums_plane,
         .channels = std::min(p.width, p.columns - column),
         .out = p.c + offset + column,
         .h_stride = p.gather.h_stride,
         .w_stride = p.gather.w_stride,
         .ahead = p.tiles.across.size * p.gather.w_stride,
         .rows = std::min(p.tiles.down.size, p.tiles.down.extent - at.h),
         .columns = std::min(p.tiles.across.size, p.tiles.across.extent - at.w),
         .bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + at.n * epilogue.bias_apart,
         .residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + offset,
         .activation = epilogue.activation,
         .kept = {epilogue.kept.bits + at.n * epilogue.kept_apart, epilogue.kept.first + place, epilogue.kept.scale}});
  }
}

// The most tiles, whole register tiles, that fill no more bytes than that.
std::int64_t tiles_within(const Product& p, std::int64_t bytes, std::int64_t sum_panels) {
  const std::int64_t each = 4 * p.planes() * (p.pixel_floats() + sum_panels * p.width);
  return bytes / each / p.gemm.rows * p.gemm.rows;
}

// Tiles of a thread's own block; 0: they are too few, or a block of them too large. The products differ in their tiles.
std::int64_t tiles_of_block(const std::vector<Product>& products) {
  const Product& p = products.front();
  std::int64_t count = 0;
  for (const Product& each : products) count += each.tiles.count();
  const std::int64_t most = count / kFewestBlocks / p.gemm.rows * p.gemm.rows;
  const std::int64_t tiles = std::min(most, tiles_within(p, kBlockBytes, 1));
  return tiles < kFewestRows * p.gemm.rows ? 0 : tiles;
}

void multiply_block(const Product& p, const Block& block) {
  transform_pixels(p, block, 0, block.count);
  for (std::int64_t panel = 0; panel < p.panels; ++panel) {
    for (std::size_t i = 0; i < p.used.size(); ++i) {
      const float* next = i + 1 < p.used.size()  ? p.weight_of(p.used[i + 1], panel)
                          : panel + 1 < p.panels ? p.weight_of(p.used[0], panel + 1)
                                                 : nullptr;
      multiply_panel(p, block, p.used[i], panel, next, block.sums);
    }
    transform_sums(p, block, 0, block.count, panel, block.sums);
  }
}

// Each chunk is a block of tiles of its own.
void multiply_in_blocks(const Execution& run, const std::vector<Product>& products, std::int64_t tiles_each) {
  struct Start {
    const Product* product;
    std::int64_t first;
  };
  std::vector<Start> blocks;
  for (const Product& p : products)
    for (std::int64_t first = 0; first < p.tiles.count(); first += tiles_each) blocks.push_back({&p, first});
  const std::int64_t floats = products.front().block_floats(tiles_each, 1);
  const std::int64_t all = std::max<std::int64_t>(run.pool.threads() * floats, kLargePage / 4);
  const Tensor memory = run.scratch({{all}, DType::f32});
  run.pool.run(std::ssize(blocks), [&](std::int64_t chunk, int worker) {
    const auto& [p, first] = blocks[static_cast<std::size_t>(chunk)];
    multiply_block(*p, Block(*p, first, std::min(tiles_each, p->tiles.count() - first),
                             memory.data<float>().data() + worker * floats));
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
    run.pool.run(std::ssize(p.used) * panel_blocks, [&](std::int64_t chunk, int) {
      const std::int64_t plane = p.used[static_cast<std::size_t>(chunk / panel_blocks)];
      const std::int64_t begin = chunk % panel_blocks * kPanelsEach;
      const std::int64_t end = std::min(begin + kPanelsEach, p.panels);
      for (std::int64_t panel = begin; panel < end; ++panel)
        multiply_panel(p, block, plane, panel, panel + 1 < end ? p.weight_of(plane, panel + 1) : nullptr,
                       block.sums_of(p, panel));
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

void multiply_by_winograd(const Execution& run, ConvAlgorithm algorithm, const std::vector<Phase>& phases, float* c,
                          const GemmEpilogue& epilogue) {
  const gemm::Panels& first = phases.front().panels;
  const Parts parts = {.stride = phases.front().gather.step_h, .taps = first.taps == 9 ? 3 : 2};
  const WinogradKernels& winograd = winograd_kernels(algorithm, parts.taps, run.isa);
  const Tensor zeros = Tensor::zeros({{first.channels}, DType::f32}, run.device);
  std::vector<Product> products;
  for (const auto& [gather, panels] : phases) {
    const Tensor weight = transform_weight(run, winograd, parts, panels);
    for (const Tiles& tiles : tiles_of(winograd, gather.N, gather.grid_h, gather.grid_w))
      products.push_back(
          {.gemm = gemm::kernels(run.isa),
           .winograd = winograd,
           .image = {gather.image, gather.image_h, gather.image_w, gather.image_c, zeros.data<float>().data()},
           .parts = parts,
           .shift_h = gather.taps[0].shift_h,
           .shift_w = gather.taps[0].shift_w,
           .tiles = tiles,
           .used = planes_of(winograd, tiles),
           .part_channels = panels.channels,
           .columns = panels.columns,
           .width = panels.width,
           .panels = panels.count(),
           .transformed_weight = weight,
           .weight_plane = plane_apart(parts.count() * panels.channels * panels.width),
           .gather = gather,
           .c = c,
           .epilogue = epilogue});
  }
  if (const std::int64_t block = tiles_of_block(products); block > 0) return multiply_in_blocks(run, products, block);
  for (const Product& product : products) multiply_in_planes(run, product);
}

}  // namespace gesso::convolution
