#include <algorithm>
#include <array>
#include <vector>

#include "ops/convolution_patches.h"
#include "ops/winograd.h"

namespace gesso::convolution {
namespace {

// Pixels that are summed at a time: [kPixels, K] of dy and some panels of x stay in L2.
constexpr std::int64_t kPixels = 256;
// Columns a chunk: those of one tap share their pixels' addresses, and x and dy come from L3 once for all of them. With
// 64 columns a chunk 64 -> 64 at 32x32 ran at 65 % of the FMA loop, with 192 at 73 % (one core of a Zen 3).
constexpr std::int64_t kColumnsEach = 192;
// Chunks that are wanted; where the weight is small, the pixels are cut too.
constexpr std::int64_t kChunks = 16;

// What the weight gradient of one group multiplies: dy transposed with the image's pixels, tap by tap.
struct WeightGradient {
  Gather gather;                         // from the grid of y into x
  std::int64_t channels, rows, columns;  // [rows = K, columns = taps * channels]
  std::int64_t blocks;                   // of kPixels pixels
  const float* dy;                       // [pixels of the grid, rows], pixels dy_apart floats from each other
  std::int64_t dy_apart;

  const float* dy_of(std::int64_t block) const { return dy + block * kPixels * dy_apart; }
  std::int64_t pixels_of(std::int64_t block) const { return std::min(kPixels, gather.rows() - block * kPixels); }
};

// Some pixels of x as columns, and what was found out about them for several panels.
struct PixelPanel {
  float* panel;                        // [kPixels][width]
  std::vector<const float*> pointers;  // [kPixels], of one tap
  std::int64_t block = -1, tap = -1;   // what they hold
};

// panel[pixel][column] for the columns [first_column, first_column + columns) of [taps][channels] in one block of
// pixels.
void pack_pixels(const GemmKernels& kernels, const WeightGradient& work, std::int64_t first_column,
                 std::int64_t columns, std::int64_t block, const float* zeros, PixelPanel& memory) {
  const std::int64_t count = work.pixels_of(block);
  for (std::int64_t column = 0; column < columns;) {
    const std::int64_t tap = (first_column + column) / work.channels, channel = (first_column + column) % work.channels;
    if (block != memory.block || tap != memory.tap) {
      GridWalk walk(work.gather, block * kPixels);
      for (std::int64_t i = 0; i < count; ++i, walk.next())
        memory.pointers[static_cast<std::size_t>(i)] =
            walk.pixel(work.gather.taps[static_cast<std::size_t>(tap)], zeros);
    }
    memory.block = block;
    memory.tap = tap;
    const std::int64_t length = std::min(columns - column, work.channels - channel);
    kernels.gather(count, length, memory.pointers.data(), channel, memory.panel + column, kernels.columns);
    column += length;
  }
}

// Asks for one of `parts` parts of a block's dy: by the time that it is multiplied, it lies in L2.
void fetch_part(const WeightGradient& work, std::int64_t block, std::int64_t part, std::int64_t parts) {
  constexpr std::int64_t kLine = 16;  // floats
  if (block >= work.blocks) return;
  const std::int64_t pixels = work.pixels_of(block);
  for (std::int64_t pixel = pixels * part / parts; pixel < pixels * (part + 1) / parts; ++pixel)
    for (std::int64_t k = 0; k < work.rows; k += kLine)
      __builtin_prefetch(work.dy_of(block) + pixel * work.dy_apart + k, 0, 2);
}

// result[rows, columns] of the columns of one panel (+)= the sum over one block of pixels.
void add_block(const GemmKernels& kernels, const WeightGradient& work, std::int64_t column, std::int64_t columns,
               std::int64_t block, bool add, const float* panel, float* result) {
  std::array<const float*, GemmKernels::kMaxRows> rows;
  std::array<std::int64_t, GemmKernels::kMaxRows> offsets;
  for (std::int64_t row = 0; row < work.rows; row += kernels.rows) {
    for (std::int64_t i = 0; i < kernels.rows; ++i) {
      rows[static_cast<std::size_t>(i)] = work.dy_of(block) + std::min(row + i, work.rows - 1);
      offsets[static_cast<std::size_t>(i)] = (row + i) * work.columns;
    }
    kernels.tile({.taps = 1,
                  .channels = work.pixels_of(block),
                  .rows = rows.data(),
                  .first_channel = 0,
                  .panel = panel,
                  .out = result + column,
                  .row_offsets = offsets.data(),
                  .row_count = std::min<std::int64_t>(kernels.rows, work.rows - row),
                  .column_count = columns,
                  .add = add,
                  .epilogue = nullptr,
                  .step = work.dy_apart});
  }
}

// Blocks of pixels [begin, end) for the panels [first_panel, last_panel); `result` is overwritten.
void add_blocks(const GemmKernels& kernels, const WeightGradient& work, std::int64_t first_panel,
                std::int64_t last_panel, std::int64_t begin, std::int64_t end, const float* zeros, PixelPanel memory,
                float* result) {
  for (std::int64_t block = begin; block < end; ++block)
    for (std::int64_t p = first_panel; p < last_panel; ++p) {
      const std::int64_t column = p * kernels.columns;
      const std::int64_t columns = std::min<std::int64_t>(kernels.columns, work.columns - column);
      pack_pixels(kernels, work, column, columns, block, zeros, memory);
      fetch_part(work, block + 1, p - first_panel, last_panel - first_panel);
      add_block(kernels, work, column, columns, block, block > begin, memory.panel, result);
    }
}

// Each chunk owns some panels; where these are few, the pixels are cut as well and the parts are summed in order.
void multiply(const Execution& run, const WeightGradient& work, float* dweight) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t panels = divide_up(work.columns, kernels.columns),
                     each = std::clamp<std::int64_t>(kColumnsEach / kernels.columns, 1, panels);
  const std::int64_t panel_blocks = divide_up(panels, each), size = work.rows * work.columns;
  const std::int64_t wanted = std::min(divide_up(kChunks, panel_blocks), work.blocks);
  const std::int64_t blocks_each = divide_up(work.blocks, wanted), parts = divide_up(work.blocks, blocks_each);

  const Tensor zeros = Tensor::zeros({{work.channels}, DType::f32}, run.device);
  const std::int64_t own = kPixels * kernels.columns;
  const Tensor memory = run.scratch({{run.pool.threads(), own}, DType::f32});
  const Tensor partial = run.scratch({{parts > 1 ? parts : 0, size}, DType::f32});
  float* each_part = parts > 1 ? partial.data<float>().data() : dweight;
  run.pool.run(panel_blocks * parts, [&](std::int64_t chunk, int worker) {
    const std::int64_t part = chunk / panel_blocks, first = chunk % panel_blocks * each;
    float* panel = memory.data<float>().data() + worker * own;
    add_blocks(kernels, work, first, std::min(first + each, panels), part * blocks_each,
               std::min((part + 1) * blocks_each, work.blocks), zeros.data<float>().data(),
               {.panel = panel, .pointers = std::vector<const float*>(kPixels)}, each_part + part * size);
  });
  if (parts > 1)
    parallel_for(run.pool, size, 4096, [&](std::int64_t begin, std::int64_t end) {
      kernels.sum_rows(parts, end - begin, each_part + begin, size, dweight + begin);
    });
}

void gradient_of_one(const Execution& run, const ConvGeometry& g, const float* x, const float* dy, float* dweight) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, size = group_k * g.taps() * group_c;
  if (size == 0) return;
  const ConvAlgorithm algorithm = plan(g, Pass::weight_gradient, run.isa);
  if (algorithm != ConvAlgorithm::direct) return weight_gradient_by_winograd(run, algorithm, g, x, dy, dweight);
  if (takes_patches(g, std::min(group_c, group_k))) return weight_gradient_by_patches(run, g, x, dy, dweight);
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const WeightGradient work = {.gather = forward_gather(g, x + group * group_c, g.C),
                                 .channels = group_c,
                                 .rows = group_k,
                                 .columns = g.taps() * group_c,
                                 .blocks = divide_up(g.N * g.OH * g.OW, kPixels),
                                 .dy = dy + group * group_k,
                                 .dy_apart = g.K};
    if (work.blocks == 0) {
      if (run.computes()) std::fill_n(dweight + group * size, size, 0.0f);
      continue;
    }
    multiply(run, work, dweight + group * size);
  }
}

}  // namespace

void weight_gradient(const Execution& run, const ConvGeometry& g, JoinedChannels<const float> x, const float* dy,
                     float* dweight) {
  const auto parts = x.parts(g.C);
  if (!x.is_joined()) return gradient_of_one(run, g, parts[0].pixels, dy, dweight);
  for (const auto& part : parts) {
    ConvGeometry of_part = g;
    of_part.C = part.channels;
    const Tensor own = run.scratch({{g.K * g.taps(), part.channels}, DType::f32});
    gradient_of_one(run, of_part, part.pixels, dy, own.data<float>().data());
    parallel_for(run.pool, g.K * g.taps(), 64, [&](std::int64_t begin, std::int64_t end) {
      gemm::kernels(run.isa).copy(end - begin, part.channels, own.data<float>().data() + begin * part.channels,
                                  part.channels, dweight + begin * g.C + part.first, g.C);
    });
  }
}

}  // namespace gesso::convolution
