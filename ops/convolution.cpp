#include "ops/convolution.h"

#include <algorithm>
#include <array>
#include <vector>

namespace gesso::convolution {
namespace {

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Where the element of a tap lies in the image: grid position * step + shift.
struct Tap {
  std::int64_t shift_h, shift_w;
  std::int64_t index;  // kernel_h * row + column, in the weight
};

// A product over a grid of pixels: each grid pixel gathers, tap by tap, a pixel of an image and gives one row of a
// result.
struct Gather {
  std::int64_t N, grid_h, grid_w;
  std::int64_t image_h, image_w, image_c, step_h, step_w;
  const float* image;  // of the group at hand
  std::vector<Tap> taps;
  // Offset of the result's row, in floats: n * n_stride + h * h_stride + w * w_stride + start.
  std::int64_t n_stride, h_stride, w_stride, start;

  std::int64_t rows() const { return N * grid_h * grid_w; }
};

struct Position {
  std::int64_t n, h, w;
};

Position position(const Gather& g, std::int64_t row) {
  return {row / (g.grid_h * g.grid_w), row / g.grid_w % g.grid_h, row % g.grid_w};
}

// The pixels that a tap sees from the grid rows [first, first + count), `zeros` outside the image; one every `apart`
// pointers.
void point_at_pixels(const Gather& g, const Tap& tap, std::int64_t first, std::int64_t count, const float* zeros,
                     const float** pointers) {
  Position at = position(g, first);
  while (count > 0) {
    const std::int64_t run = std::min(count, g.grid_w - at.w), h = at.h * g.step_h + tap.shift_h;
    const bool inside = h >= 0 && h < g.image_h;
    const float* line = g.image + (at.n * g.image_h + (inside ? h : 0)) * g.image_w * g.image_c;
    std::int64_t w = at.w * g.step_w + tap.shift_w;
    for (std::int64_t i = 0; i < run; ++i, w += g.step_w)
      *pointers++ = inside && w >= 0 && w < g.image_w ? line + w * g.image_c : zeros;
    count -= run;
    at = position(g, first += run);
  }
}

// Pointers and offsets for the grid rows [first, first + rows.count).
void place_rows(const GemmKernels& kernels, const Gather& g, std::int64_t first, const float* zeros, gemm::Rows& rows) {
  const std::int64_t taps = std::ssize(g.taps), tile_rows = kernels.rows;
  const std::int64_t tiles = divide_up(rows.count, tile_rows);
  rows.pointers.assign(static_cast<std::size_t>(tiles * taps * tile_rows), zeros);
  rows.offsets.assign(static_cast<std::size_t>(tiles * tile_rows), 0);
  for (std::int64_t tile = 0; tile < tiles; ++tile)
    for (std::int64_t t = 0; t < taps; ++t)
      point_at_pixels(g, g.taps[static_cast<std::size_t>(t)], first + tile * tile_rows,
                      std::min(tile_rows, rows.count - tile * tile_rows), zeros,
                      rows.pointers.data() + (tile * taps + t) * tile_rows);
  for (std::int64_t row = 0; row < rows.count; ++row) {
    const Position at = position(g, first + row);
    rows.offsets[static_cast<std::size_t>(row)] = at.n * g.n_stride + at.h * g.h_stride + at.w * g.w_stride + g.start;
  }
}

// Few channels make short sums a tap, and the tile would mostly fetch pointers: then the taps of a row are copied side
// by side, for the rows of one chunk at a time.
constexpr std::int64_t kFewChannels = 16;

void join_taps(const GemmKernels& kernels, std::int64_t taps, std::int64_t channels, float* joined, gemm::Rows& rows) {
  const std::int64_t padded_rows = std::ssize(rows.offsets), depth = taps * channels;
  std::vector<const float*> pointers(rows.offsets.size());
  for (std::int64_t row = 0; row < padded_rows; ++row) {
    float* to = joined + row * depth;
    pointers[static_cast<std::size_t>(row)] = to;
    const float* const* from = rows.pointers.data() + row / kernels.rows * taps * kernels.rows + row % kernels.rows;
    for (std::int64_t t = 0; t < taps; ++t) to = std::copy_n(from[t * kernels.rows], channels, to);
  }
  rows.pointers = std::move(pointers);
}

// c = epilogue(gathered rows times panels); panels [taps][channels][columns] of one group.
void multiply(const Execution& run, const Gather& g, gemm::Panels& panels, float* c, const GemmEpilogue& epilogue) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t taps = panels.taps, channels = panels.channels;
  const bool joins = channels < kFewChannels && taps > 1;
  if (joins) {
    panels.taps = 1;
    panels.channels = taps * channels;
  }
  const gemm::Partition parts = gemm::partition(kernels, g.rows(), panels.count());
  const Tensor zeros = Tensor::zeros({{channels}, DType::f32}, run.device);
  const Tensor joined = run.scratch({{joins ? run.pool.threads() : 0, parts.rows_each, taps * channels}, DType::f32});
  run.pool.run(parts.chunks(), [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk / parts.panel_blocks * parts.rows_each;
    const std::int64_t begin = chunk % parts.panel_blocks * parts.panels_each;
    gemm::Rows rows{.count = std::min(parts.rows_each, g.rows() - first), .pointers = {}, .offsets = {}};
    place_rows(kernels, g, first, zeros.data<float>().data(), rows);
    if (joins)
      join_taps(kernels, taps, channels, joined.data<float>().data() + worker * parts.rows_each * taps * channels,
                rows);
    gemm::multiply_rows(kernels, rows, panels, begin, std::min(begin + parts.panels_each, panels.count()), c, epilogue);
  });
}

GemmEpilogue of_group(const GemmEpilogue& epilogue, std::int64_t first_channel) {
  return {.bias = epilogue.bias == nullptr ? nullptr : epilogue.bias + first_channel,
          .residual = epilogue.residual == nullptr ? nullptr : epilogue.residual + first_channel,
          .activation = epilogue.activation};
}

Gather forward_gather(const ConvGeometry& g, const float* x) {
  Gather gather = {.N = g.N,
                   .grid_h = g.OH,
                   .grid_w = g.OW,
                   .image_h = g.H,
                   .image_w = g.W,
                   .image_c = g.C,
                   .step_h = g.stride_h,
                   .step_w = g.stride_w,
                   .image = x,
                   .taps = {},
                   .n_stride = g.OH * g.OW * g.K,
                   .h_stride = g.OW * g.K,
                   .w_stride = g.K,
                   .start = 0};
  for (std::int64_t kh = 0; kh < g.kernel_h; ++kh)
    for (std::int64_t kw = 0; kw < g.kernel_w; ++kw)
      gather.taps.push_back({kh * g.dilation_h - g.pad_top, kw * g.dilation_w - g.pad_left, kh * g.kernel_w + kw});
  return gather;
}

// The taps through which the pixels (phase_h + i * stride_h, phase_w + j * stride_w) of x reach y, as shifts of (i, j).
std::vector<Tap> phase_taps(const ConvGeometry& g, std::int64_t phase_h, std::int64_t phase_w) {
  std::vector<Tap> taps;
  for (std::int64_t kh = 0; kh < g.kernel_h; ++kh)
    for (std::int64_t kw = 0; kw < g.kernel_w; ++kw) {
      const std::int64_t h = phase_h + g.pad_top - kh * g.dilation_h, w = phase_w + g.pad_left - kw * g.dilation_w;
      if (h % g.stride_h == 0 && w % g.stride_w == 0)
        taps.push_back({h / g.stride_h, w / g.stride_w, kh * g.kernel_w + kw});
    }
  return taps;
}

// panel[t][c][k] = weight[k][taps[t]][c] of one group.
void pack_for_forward(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps, const float* weight,
                      const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t row = g.taps() * panels.channels, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t k = p * panels.width, columns = std::min(panels.width, panels.columns - k);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.transpose(columns, panels.channels,
                        weight + k * row + taps[static_cast<std::size_t>(t)].index * panels.channels, row,
                        panels.panel(p) + t * area, panels.width);
  });
}

// panel[t][k][c] = weight[k][taps[t]][c] of one group.
void pack_for_input_gradient(const Execution& run, const ConvGeometry& g, const std::vector<Tap>& taps,
                             const float* weight, const gemm::Panels& panels) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t row = g.taps() * panels.columns, area = panels.channels * panels.width;
  run.pool.run(panels.count(), [&](std::int64_t p, int) {
    const std::int64_t c = p * panels.width, columns = std::min(panels.width, panels.columns - c);
    for (std::int64_t t = 0; t < panels.taps; ++t)
      kernels.copy(panels.channels, columns, weight + taps[static_cast<std::size_t>(t)].index * panels.columns + c, row,
                   panels.panel(p) + t * area, panels.width);
  });
}

}  // namespace

void forward(const Execution& run, const ConvGeometry& g, const float* x, const float* weight, float* y,
             const GemmEpilogue& epilogue) {
  if (g.y_count() == 0) return;
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  for (std::int64_t group = 0; group < g.groups; ++group) {
    const Gather gather = forward_gather(g, x + group * group_c);
    gemm::Panels panels(run, g.taps(), group_c, group_k);
    pack_for_forward(run, g, gather.taps, weight + group * group_k * g.taps() * group_c, panels);
    multiply(run, gather, panels, y + group * group_k, of_group(epilogue, group * group_k));
  }
}

void input_gradient(const Execution& run, const ConvGeometry& g, const float* dy, const float* weight, float* dx,
                    const GemmEpilogue& epilogue) {
  if (g.x_count() == 0) return;
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups;
  const std::int64_t phases_h = std::min(g.stride_h, g.H), phases_w = std::min(g.stride_w, g.W);
  for (std::int64_t part = 0; part < g.groups * phases_h * phases_w; ++part) {
    const std::int64_t group = part / (phases_h * phases_w);
    const std::int64_t phase_h = part / phases_w % phases_h, phase_w = part % phases_w;
    const Gather gather = {.N = g.N,
                           .grid_h = divide_up(g.H - phase_h, g.stride_h),
                           .grid_w = divide_up(g.W - phase_w, g.stride_w),
                           .image_h = g.OH,
                           .image_w = g.OW,
                           .image_c = g.K,
                           .step_h = 1,
                           .step_w = 1,
                           .image = dy + group * group_k,
                           .taps = phase_taps(g, phase_h, phase_w),
                           .n_stride = g.H * g.W * g.C,
                           .h_stride = g.stride_h * g.W * g.C,
                           .w_stride = g.stride_w * g.C,
                           .start = (phase_h * g.W + phase_w) * g.C};
    gemm::Panels panels(run, std::ssize(gather.taps), group_k, group_c);
    pack_for_input_gradient(run, g, gather.taps, weight + group * group_k * g.taps() * group_c, panels);
    multiply(run, gather, panels, dx + group * group_c, of_group(epilogue, group * group_c));
  }
}

namespace {

// Pixels that are summed at a time: [K, kPixels] of dy and some panels of x stay in L2.
constexpr std::int64_t kPixels = 256;
// Panels a chunk: those of one tap share their pixels' addresses, and dy comes from L3 for all of them once.
constexpr std::int64_t kPanelsEach = 4;
// Chunks that are wanted; where the weight is small, the pixels are cut too.
constexpr std::int64_t kChunks = 16;

// What the weight gradient of one group multiplies: dy transposed with the image's pixels, tap by tap.
struct WeightGradient {
  Gather gather;                         // from the grid of y into x
  std::int64_t channels, rows, columns;  // [rows = K, columns = taps * channels]
  std::int64_t blocks;                   // of kPixels pixels
  const float* dy;                       // [blocks][rows][kPixels]
};

// dy of one group as [blocks of pixels][group_k][kPixels].
Tensor transpose_pixels(const Execution& run, const ConvGeometry& g, std::int64_t group_k, const float* dy) {
  const std::int64_t pixels = g.N * g.OH * g.OW, blocks = divide_up(pixels, kPixels);
  const GemmKernels& kernels = gemm::kernels(run.isa);
  Tensor transposed = run.scratch({{blocks, group_k, kPixels}, DType::f32});
  float* to = transposed.data<float>().data();
  run.pool.run(blocks, [&](std::int64_t block, int) {
    const std::int64_t first = block * kPixels, count = std::min(kPixels, pixels - first);
    kernels.transpose(count, group_k, dy + first * g.K, g.K, to + block * group_k * kPixels, kPixels);
  });
  return transposed;
}

// Some pixels of x as columns, and the addresses that they were copied from: those of one tap serve several panels.
struct PixelPanel {
  float* panel;                        // [kPixels][width]
  std::vector<const float*> pointers;  // [kPixels]
  std::int64_t block = -1, tap = -1;   // what `pointers` holds
};

// panel[pixel][column] for the columns [first_column, first_column + columns) of [taps][channels] in one block of
// pixels.
void pack_pixels(const GemmKernels& kernels, const WeightGradient& work, std::int64_t first_column,
                 std::int64_t columns, std::int64_t block, const float* zeros, PixelPanel& memory) {
  const std::int64_t first = block * kPixels, count = std::min(kPixels, work.gather.rows() - first);
  for (std::int64_t column = 0; column < columns;) {
    const std::int64_t tap = (first_column + column) / work.channels, channel = (first_column + column) % work.channels;
    if (block != memory.block || tap != memory.tap)
      point_at_pixels(work.gather, work.gather.taps[static_cast<std::size_t>(tap)], first, count, zeros,
                      memory.pointers.data());
    memory.block = block;
    memory.tap = tap;
    const std::int64_t length = std::min(columns - column, work.channels - channel);
    kernels.gather(count, length, memory.pointers.data(), channel, memory.panel + column, kernels.columns);
    column += length;
  }
}

// result[rows, columns] of the columns of one panel (+)= the sum over one block of pixels.
void add_block(const GemmKernels& kernels, const WeightGradient& work, std::int64_t column, std::int64_t columns,
               std::int64_t block, bool add, const float* panel, float* result) {
  const float* dy = work.dy + block * work.rows * kPixels;
  std::array<const float*, GemmKernels::kMaxRows> rows;
  std::array<std::int64_t, GemmKernels::kMaxRows> offsets;
  for (std::int64_t row = 0; row < work.rows; row += kernels.rows) {
    for (std::int64_t i = 0; i < kernels.rows; ++i) {
      rows[static_cast<std::size_t>(i)] = dy + std::min(row + i, work.rows - 1) * kPixels;
      offsets[static_cast<std::size_t>(i)] = (row + i) * work.columns;
    }
    kernels.tile({.taps = 1,
                  .channels = std::min(kPixels, work.gather.rows() - block * kPixels),
                  .rows = rows.data(),
                  .first_channel = 0,
                  .panel = panel,
                  .out = result + column,
                  .row_offsets = offsets.data(),
                  .row_count = std::min<std::int64_t>(kernels.rows, work.rows - row),
                  .column_count = columns,
                  .add = add,
                  .epilogue = nullptr});
  }
}

// Blocks of pixels [begin, end) for the panels [first_panel, last_panel); `result` is overwritten.
void add_blocks(const GemmKernels& kernels, const WeightGradient& work, std::int64_t first_panel,
                std::int64_t last_panel, std::int64_t begin, std::int64_t end, const float* zeros, float* panel,
                float* result) {
  PixelPanel memory = {.panel = panel, .pointers = std::vector<const float*>(kPixels)};
  for (std::int64_t block = begin; block < end; ++block)
    for (std::int64_t p = first_panel; p < last_panel; ++p) {
      const std::int64_t column = p * kernels.columns;
      const std::int64_t columns = std::min<std::int64_t>(kernels.columns, work.columns - column);
      pack_pixels(kernels, work, column, columns, block, zeros, memory);
      add_block(kernels, work, column, columns, block, block > begin, panel, result);
    }
}

// Each chunk owns some panels; where these are few, the pixels are cut as well and the parts are summed in order.
void multiply(const Execution& run, const WeightGradient& work, float* dweight) {
  const GemmKernels& kernels = gemm::kernels(run.isa);
  const std::int64_t panels = divide_up(work.columns, kernels.columns), each = std::min(panels, kPanelsEach);
  const std::int64_t panel_blocks = divide_up(panels, each), size = work.rows * work.columns;
  const std::int64_t wanted = std::min(divide_up(kChunks, panel_blocks), work.blocks);
  const std::int64_t blocks_each = divide_up(work.blocks, wanted), parts = divide_up(work.blocks, blocks_each);

  const Tensor zeros = Tensor::zeros({{work.channels}, DType::f32}, run.device);
  const Tensor memory = run.scratch({{run.pool.threads(), kPixels, kernels.columns}, DType::f32});
  const Tensor partial = run.scratch({{parts > 1 ? parts : 0, size}, DType::f32});
  float* each_part = parts > 1 ? partial.data<float>().data() : dweight;
  run.pool.run(panel_blocks * parts, [&](std::int64_t chunk, int worker) {
    const std::int64_t part = chunk / panel_blocks, first = chunk % panel_blocks * each;
    add_blocks(kernels, work, first, std::min(first + each, panels), part * blocks_each,
               std::min((part + 1) * blocks_each, work.blocks), zeros.data<float>().data(),
               memory.data<float>().data() + worker * kPixels * kernels.columns, each_part + part * size);
  });
  if (parts > 1)
    parallel_for(run.pool, size, 4096, [&](std::int64_t begin, std::int64_t end) {
      kernels.sum_rows(parts, end - begin, each_part + begin, size, dweight + begin);
    });
}

}  // namespace

void weight_gradient(const Execution& run, const ConvGeometry& g, const float* x, const float* dy, float* dweight) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, size = group_k * g.taps() * group_c;
  if (size == 0) return;
  for (std::int64_t group = 0; group < g.groups; ++group) {
    WeightGradient work = {.gather = forward_gather(g, x + group * group_c),
                           .channels = group_c,
                           .rows = group_k,
                           .columns = g.taps() * group_c,
                           .blocks = divide_up(g.N * g.OH * g.OW, kPixels),
                           .dy = nullptr};
    if (work.blocks == 0) {
      std::fill_n(dweight + group * size, size, 0.0f);
      continue;
    }
    const Tensor transposed = transpose_pixels(run, g, group_k, dy + group * group_k);
    work.dy = transposed.data<float>().data();
    multiply(run, work, dweight + group * size);
  }
}

}  // namespace gesso::convolution
