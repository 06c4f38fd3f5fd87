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
// So many are worth to be had at the price of a second way through a block.
constexpr std::int64_t kEnoughRows = 3;
// Fewer chunks leave threads without work.
constexpr std::int64_t kFewestBlocks = 16;
// Tiles that all threads take through each step together: what they fill lies in L3.
constexpr std::int64_t kSharedBytes = 4 << 20;
// Panels a chunk of shared work; a plane's transformed pixels come from L3 once for all of them.
constexpr std::int64_t kPanelsEach = 4;
// Tiles a chunk in the steps of shared work that transform, and channels a chunk of the weight's transform.
constexpr std::int64_t kTilesEach = 8, kChannelsEach = 32;
// Channels a chain of additions; longer ones are faster. With chains of 64 the error of 3x3 taps was up to 3.2 times
// that of the direct way at 400 channels.
constexpr std::int64_t kChain = 64, kManyChannels = 256, kChainOfMany = 32, kChainOf2By2 = 128;

std::int64_t chain_of(std::int64_t taps, std::int64_t channels) {
  if (taps == 2) return kChainOf2By2;
  return channels > kManyChannels ? kChainOfMany : kChain;
}

struct Product {
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
  View view;
  Tiles tiles;                     // of the grid
  std::vector<std::int64_t> used;  // planes of these tiles
  std::int64_t part_channels, columns, width, panels, chain;
  Tensor transformed_weight;  // [panels][planes][channels][width]
  std::int64_t weight_plane;
  const Gather& gather;  // where results go
  float* c;
  const GemmEpilogue& epilogue;

  std::int64_t planes() const { return std::int64_t{winograd.patch} * winograd.patch; }
  std::int64_t parts() const { return view.parts.count(); }
  const float* weight_of(std::int64_t plane, std::int64_t panel, std::int64_t part) const {
    return transformed_weight.data<float>().data() + (panel * planes() + plane) * weight_plane +
           part * part_channels * width;
  }
};

// What a block of tiles holds at a time: the pixels of so many parts, and the sums of so many panels.
struct Held {
  std::int64_t parts, panels;

  // One transformed pixel of a plane: the parts side by side.
  std::int64_t pixel_floats(const Product& p) const {
    return (parts - 1) * p.part_channels + whole_vectors(p.part_channels);
  }
  // Of a tile in a plane.
  std::int64_t floats(const Product& p) const { return pixel_floats(p) + panels * p.width; }
};

// Some tiles and the memory of what is computed for them: whole register tiles.
struct Block {
  const Product& p;
  Held held;
  std::int64_t first, count;
  std::int64_t pixel_floats, pixels_plane, sums_plane;
  float *pixels, *sums;  // [planes][count][pixel_floats], [held panels][planes][count][width]

  Block(const Product& product, const Held& what, std::int64_t first_tile, std::int64_t tile_count, float* memory)
      : p(product),
        held(what),
        first(first_tile),
        count(tile_count),
        pixel_floats(what.pixel_floats(product)),
        pixels_plane(plane_apart(rows() * pixel_floats)),
        sums_plane(plane_apart(rows() * product.width)),
        pixels(memory),
        sums(memory + product.planes() * pixels_plane) {}

  std::int64_t rows() const { return round_up(count, p.gemm.rows); }
  std::int64_t floats() const { return p.planes() * (pixels_plane + held.panels * sums_plane); }
  float* sums_of(std::int64_t panel) const { return sums + panel % held.panels * p.planes() * sums_plane; }
};

// Step 1, for the tiles [begin, end) of a block, from that part on. What a part writes beyond its last channel, the
// next one overwrites.
void transform_pixels(const Block& block, std::int64_t begin, std::int64_t end, std::int64_t first_part) {
  const Product& p = block.p;
  const auto input = p.winograd.input[p.tiles.down.is_short][p.tiles.across.is_short];
  for_each_square(p.view, p.tiles, block.first + begin, block.first + end, first_part, first_part + block.held.parts,
                  [&](std::int64_t tile, std::int64_t part, const float* const* square, const float* const* next) {
                    input({.pixels = square,
                           .channels = p.part_channels,
                           .next = next,
                           .planes = block.pixels + (tile - block.first) * block.pixel_floats +
                                     (part - first_part) * p.part_channels,
                           .plane = block.pixels_plane,
                           .block = whole_vectors(p.part_channels),
                           .block_apart = 0});
                  });
}

// Step 2, for one plane and one panel: sums[tiles, width] (+)= pixels[tiles, channels] panel[channels, width], from
// that part on. next: what weight comes next, or null.
void multiply_panel(const Block& block, std::int64_t plane, std::int64_t panel, std::int64_t first_part,
                    const float* next) {
  const Product& p = block.p;
  p.gemm.multiply_rows({.rows = block.count,
                        .channels = block.held.parts * p.part_channels,
                        .chain = p.chain,
                        .x = block.pixels + plane * block.pixels_plane,
                        .x_apart = block.pixel_floats,
                        .panel = p.weight_of(plane, panel, first_part),
                        .next_panel = next,
                        .out = block.sums_of(panel) + plane * block.sums_plane,
                        .out_apart = p.width,
                        .column_count = std::min(p.width, p.columns - panel * p.width),
                        .add = first_part > 0});
}

// Step 3, for the tiles [begin, end) of a block and the columns of one panel.
void transform_sums(const Block& block, std::int64_t begin, std::int64_t end, std::int64_t panel) {
  const Product& p = block.p;
  const std::int64_t column = panel * p.width;
  const auto output = p.winograd.output[p.tiles.down.is_short][p.tiles.across.is_short];
  const GemmEpilogue epilogue = gemm::from_column(p.epilogue, column);
  const auto place_of = [&](const Tiles::At& at) {  // in its image
    return at.h * p.gather.h_stride + at.w * p.gather.w_stride + p.gather.start;
  };
  Tiles::At at = p.tiles.at(block.first + begin);
  for (std::int64_t i = begin; i < end; ++i) {
    const Tiles::At next = p.tiles.at(block.first + std::min(i + 1, end - 1));
    const std::int64_t place = place_of(at), offset = at.n * p.gather.n_stride + place;
    output(
        {.sums = block.sums_of(panel) + i * p.width,
         .plane = block.sums_plane,
         .channels = std::min(p.width, p.columns - column),
         .out = p.c + offset + column,
         .h_stride = p.gather.h_stride,
         .w_stride = p.gather.w_stride,
         .ahead = next.n * p.gather.n_stride + place_of(next) - offset,
         .rows = std::min(p.tiles.down.size, p.tiles.down.extent - at.h),
         .columns = std::min(p.tiles.across.size, p.tiles.across.extent - at.w),
         .bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + at.n * epilogue.bias_apart,
         .residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + offset,
         .activation = epilogue.activation,
         .kept = {epilogue.kept.bits + at.n * epilogue.kept_apart, epilogue.kept.first + place, epilogue.kept.scale}});
    at = next;
  }
}

// The most tiles, whole register tiles, that fill no more bytes than that.
std::int64_t tiles_within(const Product& p, const Held& held, std::int64_t bytes) {
  return bytes / (4 * std::ssize(p.used) * held.floats(p)) / p.gemm.rows * p.gemm.rows;
}

// How the tiles of a product are cut into blocks of a thread's own.
struct OwnBlocks {
  Held held;
  std::int64_t tiles;
};

// At most so many tiles each. With 2x2 taps, which have few planes, a block holds the sums of all panels where these
// leave room for enough tiles: each plane's pixels then come to L1 once for all panels, and the weights of several
// parts to L2 once for more tiles.
OwnBlocks own_blocks_of(const Product& p, std::int64_t most) {
  Held all_panels = {p.parts(), p.panels};
  while (all_panels.parts > 1 && all_panels.parts * p.part_channels > p.chain) all_panels.parts /= 2;
  const Held by_panel = {p.parts(), 1};
  const std::int64_t tiles = tiles_within(p, all_panels, kBlockBytes);
  if (p.winograd.taps == 2 && tiles >= kEnoughRows * p.gemm.rows) return {all_panels, std::min(tiles, most)};
  return {by_panel, std::min(tiles_within(p, by_panel, kBlockBytes), most)};
}

// None: there are too few tiles, or a block of them is too large. The products differ in their tiles.
std::vector<OwnBlocks> own_blocks(const std::vector<Product>& products) {
  const std::int64_t rows = products.front().gemm.rows;
  std::int64_t count = 0;
  for (const Product& p : products) count += p.tiles.count();
  std::vector<OwnBlocks> blocks;
  for (const Product& p : products) {
    blocks.push_back(own_blocks_of(p, count / kFewestBlocks / rows * rows));
    if (blocks.back().tiles < kFewestRows * rows) return {};
  }
  return blocks;
}

void multiply_block(const Block& block) {
  const Product& p = block.p;
  const Held& held = block.held;
  for (std::int64_t part = 0; part < p.parts(); part += held.parts) {
    const std::int64_t next_part = part + held.parts;
    transform_pixels(block, 0, block.count, part);
    for (std::int64_t first = 0; first < p.panels; first += held.panels) {
      const std::int64_t last = std::min(first + held.panels, p.panels);
      for (std::size_t i = 0; i < p.used.size(); ++i)
        for (std::int64_t panel = first; panel < last; ++panel) {
          const float* next = panel + 1 < last        ? p.weight_of(p.used[i], panel + 1, part)
                              : i + 1 < p.used.size() ? p.weight_of(p.used[i + 1], first, part)
                              : last < p.panels       ? p.weight_of(p.used[0], last, part)
                              : next_part < p.parts() ? p.weight_of(p.used[0], 0, next_part)
                                                      : nullptr;
          multiply_panel(block, p.used[i], panel, part, next);
        }
      for (std::int64_t panel = first; next_part == p.parts() && panel < last; ++panel)
        transform_sums(block, 0, block.count, panel);
    }
  }
}

// Each chunk is a block of tiles of its own.
void multiply_in_blocks(const Execution& run, const std::vector<Product>& products,
                        const std::vector<OwnBlocks>& cuts) {
  std::vector<Block> blocks;
  std::int64_t floats = 0;
  for (std::size_t i = 0; i < products.size(); ++i)
    for (std::int64_t first = 0, all = products[i].tiles.count(); first < all; first += cuts[i].tiles) {
      blocks.emplace_back(products[i], cuts[i].held, first, std::min(cuts[i].tiles, all - first), nullptr);
      floats = std::max(floats, blocks.back().floats());
    }
  const std::int64_t all = std::max<std::int64_t>(run.pool.threads() * floats, kLargePage / 4);
  const Tensor memory = run.scratch({{all}, DType::f32});
  run.pool.run(std::ssize(blocks), [&](std::int64_t chunk, int worker) {
    const Block& block = blocks[static_cast<std::size_t>(chunk)];
    multiply_block({block.p, block.held, block.first, block.count, memory.data<float>().data() + worker * floats});
  });
}

// All threads share one block at a time, and in it the planes.
void multiply_in_planes(const Execution& run, const Product& p) {
  const Held all = {p.parts(), p.panels};
  const std::int64_t most = std::max(tiles_within(p, all, kSharedBytes), kFewestRows * p.gemm.rows);
  const std::int64_t rounds = divide_up(p.tiles.count(), most);
  const std::int64_t each = divide_up(divide_up(p.tiles.count(), rounds), p.gemm.rows) * p.gemm.rows;
  const Tensor memory =
      run.scratch({{Block(p, all, 0, std::min(each, p.tiles.count()), nullptr).floats()}, DType::f32});
  const std::int64_t panel_blocks = divide_up(p.panels, kPanelsEach);
  for (std::int64_t first = 0; first < p.tiles.count(); first += each) {
    const Block block(p, all, first, std::min(each, p.tiles.count() - first), memory.data<float>().data());
    parallel_for(run.pool, block.count, kTilesEach,
                 [&](std::int64_t begin, std::int64_t end) { transform_pixels(block, begin, end, 0); });
    run.pool.run(std::ssize(p.used) * panel_blocks, [&](std::int64_t chunk, int) {
      const std::int64_t plane = p.used[static_cast<std::size_t>(chunk / panel_blocks)];
      const std::int64_t begin = chunk % panel_blocks * kPanelsEach;
      const std::int64_t end = std::min(begin + kPanelsEach, p.panels);
      for (std::int64_t panel = begin; panel < end; ++panel)
        multiply_panel(block, plane, panel, 0, panel + 1 < end ? p.weight_of(plane, panel + 1, 0) : nullptr);
    });
    parallel_for(run.pool, block.count, kTilesEach, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t panel = 0; panel < p.panels; ++panel) transform_sums(block, begin, end, panel);
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
           .view = {{gather.image, gather.image_h, gather.image_w, gather.image_c, zeros.data<float>().data()},
                    parts,
                    gather.taps[0].shift_h,
                    gather.taps[0].shift_w},
           .tiles = tiles,
           .used = planes_of(winograd, tiles),
           .part_channels = panels.channels,
           .columns = panels.columns,
           .width = panels.width,
           .panels = panels.count(),
           .chain = chain_of(parts.taps, panels.channels),
           .transformed_weight = weight,
           .weight_plane = plane_apart(parts.count() * panels.channels * panels.width),
           .gather = gather,
           .c = c,
           .epilogue = epilogue});
  }
  if (const auto blocks = own_blocks(products); !blocks.empty()) return multiply_in_blocks(run, products, blocks);
  for (const Product& product : products) multiply_in_planes(run, product);
}

}  // namespace gesso::convolution
