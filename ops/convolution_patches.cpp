#include "ops/convolution_patches.h"

#include <algorithm>
#include <vector>

#include "ops/patch_simd.h"

namespace gesso::convolution {
namespace {

template <class T>
std::size_t size_of(T count) {
  return static_cast<std::size_t>(count);
}

const PatchKernels& patch_kernels_of(Isa isa) {
  return by_isa(isa, patch_kernels<simd::Baseline>, patch_kernels<simd::Avx2>, patch_kernels<simd::Avx512>)();
}

// What all taps see from one pixel of the grid: from (h, w) on, relative to what a tap without shift sees.
struct Window {
  std::int64_t h = 0, w = 0, height = 1, width = 1;
};

Window window_of(std::span<const Gather> gathers) {
  Window window;
  bool first = true;
  std::int64_t last_h = 0, last_w = 0;
  for (const Gather& g : gathers)
    for (const Tap& tap : g.taps) {
      window.h = first ? tap.shift_h : std::min(window.h, tap.shift_h);
      window.w = first ? tap.shift_w : std::min(window.w, tap.shift_w);
      last_h = first ? tap.shift_h : std::max(last_h, tap.shift_h);
      last_w = first ? tap.shift_w : std::max(last_w, tap.shift_w);
      first = false;
    }
  window.height = last_h - window.h + 1;
  window.width = last_w - window.w + 1;
  return window;
}

// Then blocks of a grid see little more than their own pixels.
bool has_small_window(const ConvGeometry& g) {
  constexpr std::int64_t kMostStep = 4, kMostReach = 32;
  return std::max(g.stride_h, g.stride_w) <= kMostStep &&
         std::max((g.kernel_h - 1) * g.dilation_h, (g.kernel_w - 1) * g.dilation_w) <= kMostReach;
}

// Some lines and columns of a grid.
struct Block {
  std::int64_t n, h, w, lines, columns;
};

// A grid cut into blocks of about `pixels` pixels, by its shape only, and what the taps see from any of them.
class Blocks {
 public:
  Blocks(const Gather& largest, const Window& seen, std::int64_t pixels)
      : window(seen), g_(largest), columns_(even(g_.grid_w, pixels)), lines_(even(g_.grid_h, pixels / columns_)) {
    across_ = divide_up(g_.grid_w, columns_);
    down_ = divide_up(g_.grid_h, lines_);
    width = (columns_ - 1) * g_.step_w + window.width;
    height = (lines_ - 1) * g_.step_h + window.height;
  }

  std::int64_t count() const { return g_.N * down_ * across_; }
  std::int64_t pixels() const { return lines_ * columns_; }
  // Block i as far as it lies in the grid of g, which may be smaller than that of the largest: perhaps empty.
  Block block(std::int64_t i, const Gather& g) const {
    const std::int64_t h = i / across_ % down_ * lines_, w = i % across_ * columns_;
    return {i / (across_ * down_), h, w, std::clamp<std::int64_t>(g.grid_h - h, 0, lines_),
            std::clamp<std::int64_t>(g.grid_w - w, 0, columns_)};
  }

  Window window;
  std::int64_t width, height;  // of what the taps see from a whole block, in pixels of the image

 private:
  // At most `most` of n each, as equal as can be.
  static std::int64_t even(std::int64_t n, std::int64_t most) {
    return divide_up(n, divide_up(n, std::clamp<std::int64_t>(most, 1, n)));
  }

  const Gather& g_;
  std::int64_t columns_, lines_, across_, down_;
};

// Calls line(i, left, right, pixel) for each line that the taps see from a block: its pixels [left, right) lie in the
// image, the first of them at `pixel`.
template <class Line>
void for_each_line(const Gather& g, const Blocks& blocks, const Block& block, Line line) {
  const std::int64_t first_h = block.h * g.step_h + blocks.window.h, first_w = block.w * g.step_w + blocks.window.w;
  const std::int64_t left = std::clamp<std::int64_t>(-first_w, 0, blocks.width);
  const std::int64_t right = std::clamp<std::int64_t>(g.image_w - first_w, left, blocks.width);
  for (std::int64_t i = 0; i < blocks.height; ++i) {
    const std::int64_t h = first_h + i;
    if (h < 0 || h >= g.image_h)
      line(i, blocks.width, blocks.width, nullptr);
    else
      line(i, left, right, g.image + ((block.n * g.image_h + h) * g.image_w + first_w + left) * g.image_c);
  }
}

// to[height][width][channels]: what the taps see from a block, zeros outside the image.
void copy_window(const Gather& g, const Blocks& blocks, const Block& block, std::int64_t channels, float* to) {
  for_each_line(g, blocks, block, [&](std::int64_t i, std::int64_t left, std::int64_t right, const float* pixel) {
    float* next = std::fill_n(to + i * blocks.width * channels, left * channels, 0.0f);
    if (g.image_c == channels)
      next = std::copy_n(pixel, (right - left) * channels, next);
    else
      for (std::int64_t j = left; j < right; ++j, pixel += g.image_c) next = std::copy_n(pixel, channels, next);
    std::fill_n(next, (blocks.width - right) * channels, 0.0f);
  });
}

// table[height][width]: pointers to what copy_window copies.
void point_into_window(const Gather& g, const Blocks& blocks, const Block& block, const float* zeros,
                       const float** table) {
  for_each_line(g, blocks, block, [&](std::int64_t i, std::int64_t left, std::int64_t right, const float* pixel) {
    const float** next = std::fill_n(table + i * blocks.width, left, zeros);
    for (std::int64_t j = left; j < right; ++j, pixel += g.image_c) *next++ = pixel;
    std::fill_n(next, blocks.width - right, zeros);
  });
}

// Of tap t in a window of `width` pixels a line.
std::int64_t place_of(const Tap& tap, const Blocks& blocks) {
  return (tap.shift_h - blocks.window.h) * blocks.width + tap.shift_w - blocks.window.w;
}

// Where the patches of a block's pixels begin, and their results, both from those of its first pixel.
class Pixels {
 public:
  std::vector<std::int64_t> places, results;

  // size: of a pixel of the window. Most blocks are alike, so that there is nothing to do.
  void place(const Gather& g, const Blocks& blocks, const Block& block, std::int64_t size) {
    if (lines_ == block.lines && columns_ == block.columns) return;
    lines_ = block.lines;
    columns_ = block.columns;
    places.assign(size_of(lines_ * columns_ + kMostTilePixels), 0);
    results.resize(size_of(lines_ * columns_));
    std::size_t next = 0;
    for (std::int64_t i = 0; i < lines_; ++i)
      for (std::int64_t j = 0; j < columns_; ++j, ++next) {
        places[next] = (i * g.step_h * blocks.width + j * g.step_w) * size;
        results[next] = i * g.h_stride + j * g.w_stride;
      }
  }

 private:
  std::int64_t lines_ = -1, columns_ = -1;
};

// Of the result of a block's first pixel.
std::int64_t offset_of(const Gather& g, const Block& block) {
  return block.n * g.n_stride + block.h * g.h_stride + block.w * g.w_stride + g.start;
}

// Where the numbers of a patch lie from where it begins, in a copied window: [taps][channels].
std::vector<std::int64_t> entries_of(const Gather& g, const Blocks& blocks, std::int64_t channels) {
  std::vector<std::int64_t> offsets;
  for (const Tap& tap : g.taps)
    for (std::int64_t c = 0; c < channels; ++c) offsets.push_back(place_of(tap, blocks) * channels + c);
  return offsets;
}

// Pixels a block: at most `most`, but so few that a few dozen threads find work.
std::int64_t pixels_each(const Gather& g, std::int64_t most) {
  constexpr std::int64_t kBlocks = 16, kLeast = 24;
  return std::clamp(divide_up(g.rows(), kBlocks), kLeast, most);
}

}  // namespace

bool takes_patches(const ConvGeometry& g, std::int64_t channels) {
  constexpr std::int64_t kMostEntries = 1024;  // longer chains of additions are cut in pieces elsewhere
  return channels < kFewChannels && g.taps() * channels <= kMostEntries && has_small_window(g);
}

bool takes_dots(const ConvGeometry& g, std::int64_t channels, std::int64_t results) {
  constexpr std::int64_t kLeastChannels = 8;  // with fewer most of a vector would be empty
  return results <= PatchDots::kMostRows && channels >= kLeastChannels && has_small_window(g);
}

void multiply_patches(const Execution& run, const Gather& g, const gemm::Panels& panels, float* c,
                      const GemmEpilogue& epilogue) {
  constexpr std::int64_t kMostPixels = 256, kPanelFloats = 4096;  // floats of panels that stay in L1
  if (g.rows() == 0) return;
  const PatchKernels& kernels = patch_kernels_of(run.isa);
  const std::int64_t channels = panels.channels;
  const Blocks blocks(g, window_of({&g, 1}), pixels_each(g, kMostPixels));
  const std::vector<std::int64_t> entries = entries_of(g, blocks, channels);
  const std::int64_t panel_size = std::max<std::int64_t>(std::ssize(entries) * panels.width, 1);
  const std::int64_t columns_each = std::max<std::int64_t>(kPanelFloats / panel_size, 1) * panels.width;
  const std::int64_t size = blocks.height * blocks.width * channels;
  const Tensor copies = run.scratch({{run.pool.threads(), size}, DType::f32});
  std::vector<Pixels> pixels(size_of(run.pool.threads()));
  run.pool.run(blocks.count(), [&](std::int64_t chunk, int worker) {
    const Block block = blocks.block(chunk, g);
    float* copy = copies.data<float>().data() + worker * size;
    copy_window(g, blocks, block, channels, copy);
    Pixels& here = pixels[size_of(worker)];
    here.place(g, blocks, block, channels);
    const std::int64_t offset = offset_of(g, block);
    const GemmEpilogue finish = gemm::from_row(epilogue, offset);
    for (std::int64_t column = 0; column < panels.columns; column += columns_each)
      kernels.product({.pixels = block.lines * block.columns,
                       .image = copy,
                       .places = here.places.data(),
                       .results = here.results.data(),
                       .entries = std::ssize(entries),
                       .offsets = entries.data(),
                       .panels = panels.panel(column / panels.width),
                       .first_column = column,
                       .last_column = std::min(column + columns_each, panels.columns),
                       .out = c + offset,
                       .epilogue = gemm::is_empty(finish) ? nullptr : &finish});
  });
}

namespace {

// For one result the dot products of a tile share no pixel, so that loads take the time. Where the taps fill vectors,
// all of them are multiplied with each pixel first, one column a tap, and then added up: if steps are 1 and each pixel
// is seen by all taps.
bool multiplies_first(const Gather& largest, const DotWeights& weights, Isa isa) {
  constexpr std::int64_t kMostChannels = 1024;  // longer chains of additions are better cut
  const std::int64_t lanes = by_isa<std::int64_t>(isa, 4, 8, 16), taps = weights.taps;
  return weights.results == 1 && weights.channels <= kMostChannels && std::max(largest.step_h, largest.step_w) == 1 &&
         5 * taps >= 3 * divide_up(taps, lanes) * lanes;
}

// panel[c][tap] = weight
void pack_taps(const DotWeights& weights, const gemm::Panels& panels) {
  for (std::int64_t tap = 0; tap < panels.columns; ++tap)
    for (std::int64_t c = 0; c < weights.channels; ++c)
      panels.panel(tap / panels.width)[c * panels.width + tap % panels.width] = weights.weights[tap * weights.tap + c];
}

// Products of the pixels that the taps see from a block with all taps: [height][width][taps], zeros outside the image.
class WindowProducts {
 public:
  WindowProducts(std::int64_t channels) : channels_(size_of(channels)) {
    for (std::size_t c = 0; c < channels_.size(); ++c) channels_[c] = static_cast<std::int64_t>(c);
  }

  void multiply(const PatchKernels& kernels, const Gather& g, const Blocks& blocks, const Block& block,
                const gemm::Panels& panels, float* products) {
    places_.resize(size_of(blocks.height * blocks.width + kMostTilePixels));
    results_.resize(places_.size());
    std::size_t count = 0;
    const std::int64_t taps = panels.columns;
    for_each_line(g, blocks, block, [&](std::int64_t i, std::int64_t left, std::int64_t right, const float* pixel) {
      float* line = products + i * blocks.width * taps;
      std::fill_n(line, left * taps, 0.0f);
      std::fill(line + right * taps, line + blocks.width * taps, 0.0f);
      for (std::int64_t j = left; j < right; ++j, pixel += g.image_c, ++count) {
        places_[count] = pixel - g.image;
        results_[count] = (i * blocks.width + j) * taps;
      }
    });
    std::fill_n(places_.begin() + static_cast<std::ptrdiff_t>(count), kMostTilePixels, 0);
    kernels.product({.pixels = static_cast<std::int64_t>(count),
                     .image = g.image,
                     .places = places_.data(),
                     .results = results_.data(),
                     .entries = std::ssize(channels_),
                     .offsets = channels_.data(),
                     .panels = panels.panel(0),
                     .first_column = 0,
                     .last_column = taps,
                     .out = products,
                     .epilogue = nullptr});
  }

 private:
  std::vector<std::int64_t> channels_;  // where they lie in a pixel
  std::vector<std::int64_t> places_, results_;
};

void multiply_and_sum(const Execution& run, std::span<const Gather> phases, const DotWeights& weights, float* c,
                      const GemmEpilogue& epilogue) {
  constexpr std::int64_t kMostPixels = 1024;
  const std::int64_t taps = weights.taps;
  const Gather& largest = phases[0];
  const PatchKernels& kernels = patch_kernels_of(run.isa);
  const gemm::Panels panels(run, 1, weights.channels, taps);
  if (run.computes()) pack_taps(weights, panels);
  const Blocks blocks(largest, window_of(phases), pixels_each(largest, kMostPixels));
  std::vector<std::vector<std::int64_t>> offsets(phases.size());
  for (std::size_t p = 0; p < phases.size(); ++p)
    for (const Tap& tap : phases[p].taps) offsets[p].push_back(place_of(tap, blocks) * taps + tap.index);

  const std::int64_t size = blocks.height * blocks.width * taps;
  const Tensor memory = run.scratch({{run.pool.threads(), size}, DType::f32});
  std::vector<WindowProducts> products(size_of(run.pool.threads()), WindowProducts(weights.channels));
  std::vector<Pixels> pixels(products.size());
  run.pool.run(blocks.count(), [&](std::int64_t chunk, int worker) {
    float* own = memory.data<float>().data() + worker * size;
    products[size_of(worker)].multiply(kernels, largest, blocks, blocks.block(chunk, largest), panels, own);
    Pixels& here = pixels[size_of(worker)];
    for (std::size_t p = 0; p < phases.size(); ++p) {
      const Block block = blocks.block(chunk, phases[p]);
      here.place(phases[p], blocks, block, taps);
      const std::int64_t offset = offset_of(phases[p], block);
      const GemmEpilogue finish = gemm::from_row(epilogue, offset);
      kernels.sums({.pixels = block.lines * block.columns,
                    .products = own,
                    .places = here.places.data(),
                    .results = here.results.data(),
                    .taps = std::ssize(offsets[p]),
                    .offsets = offsets[p].data(),
                    .out = c + offset,
                    .epilogue = gemm::is_empty(finish) ? nullptr : &finish});
    }
  });
}

}  // namespace

void multiply_dots(const Execution& run, std::span<const Gather> phases, const DotWeights& weights, float* c,
                   const GemmEpilogue& epilogue) {
  constexpr std::int64_t kMostPixels = 512;
  const Gather& largest = phases[0];
  if (largest.rows() == 0) return;
  if (multiplies_first(largest, weights, run.isa)) return multiply_and_sum(run, phases, weights, c, epilogue);
  const PatchKernels& kernels = patch_kernels_of(run.isa);
  const Blocks blocks(largest, window_of(phases), pixels_each(largest, kMostPixels));
  std::vector<std::vector<DotTap>> taps(phases.size());
  for (std::size_t p = 0; p < phases.size(); ++p)
    for (const Tap& tap : phases[p].taps) taps[p].push_back({place_of(tap, blocks), tap.index * weights.tap});

  const Tensor zeros = Tensor::zeros({{weights.channels}, DType::f32}, run.device);
  std::vector<std::vector<const float*>> tables(size_of(run.pool.threads()));
  for (std::vector<const float*>& table : tables) table.resize(size_of(blocks.height * blocks.width));
  std::vector<Pixels> pixels(tables.size());
  run.pool.run(blocks.count(), [&](std::int64_t chunk, int worker) {
    std::vector<const float*>& table = tables[size_of(worker)];
    Pixels& here = pixels[size_of(worker)];
    point_into_window(largest, blocks, blocks.block(chunk, largest), zeros.data<float>().data(), table.data());
    for (std::size_t p = 0; p < phases.size(); ++p) {
      const Block block = blocks.block(chunk, phases[p]);
      here.place(phases[p], blocks, block, 1);
      const std::int64_t offset = offset_of(phases[p], block);
      const GemmEpilogue finish = gemm::from_row(epilogue, offset);
      kernels.dots({.pixels = block.lines * block.columns,
                    .table = table.data(),
                    .places = here.places.data(),
                    .results = here.results.data(),
                    .taps = std::ssize(taps[p]),
                    .tap = taps[p].data(),
                    .channels = weights.channels,
                    .weights = weights.weights,
                    .rows = weights.results,
                    .apart = weights.apart,
                    .out = c + offset,
                    .epilogue = gemm::is_empty(finish) ? nullptr : &finish});
    }
  });
}

namespace {

// sums[t * channels + c][j] = sum over the rows of the grid of what tap t sees in channel c times wide[the row's offset
// + j], j < columns.
void multiply_transposed(const Execution& run, const Gather& g, std::int64_t channels, const float* wide,
                         std::int64_t columns, float* sums) {
  constexpr std::int64_t kMostPixels = 64;  // a panel of their wide side stays in L1
  constexpr std::int64_t kParts = 16;       // that are wanted; each sums some blocks
  const std::int64_t count = std::ssize(g.taps) * channels * columns;
  if (g.rows() == 0) {
    if (run.computes()) std::fill_n(sums, count, 0.0f);
    return;
  }
  const PatchKernels& kernels = patch_kernels_of(run.isa);
  const Blocks blocks(g, window_of({&g, 1}), pixels_each(g, kMostPixels));
  const std::vector<std::int64_t> entries = entries_of(g, blocks, channels);
  const std::int64_t each = divide_up(blocks.count(), kParts), parts = divide_up(blocks.count(), each);
  const std::int64_t size = blocks.height * blocks.width * channels;
  const Tensor copies = run.scratch({{run.pool.threads(), size}, DType::f32});
  const Tensor partial = run.scratch({{parts > 1 ? parts : 0, count}, DType::f32});
  float* each_part = parts > 1 ? partial.data<float>().data() : sums;
  run.pool.run(parts, [&](std::int64_t part, int worker) {
    float* copy = copies.data<float>().data() + worker * size;
    for (std::int64_t i = part * each; i < std::min((part + 1) * each, blocks.count()); ++i) {
      const Block block = blocks.block(i, g);
      copy_window(g, blocks, block, channels, copy);
      kernels.gradient({.lines = block.lines,
                        .columns = block.columns,
                        .image = copy,
                        .image_line = g.step_h * blocks.width * channels,
                        .image_step = g.step_w * channels,
                        .wide = wide + offset_of(g, block),
                        .wide_line = g.h_stride,
                        .wide_step = g.w_stride,
                        .entries = std::ssize(entries),
                        .offsets = entries.data(),
                        .channels = columns,
                        .sums = each_part + part * count,
                        .add = i > part * each});
    }
  });
  if (parts > 1)
    parallel_for(run.pool, count, 4096, [&](std::int64_t begin, std::int64_t end) {
      gemm::kernels(run.isa).sum_rows(parts, end - begin, each_part + begin, count, sums + begin);
    });
}

// Each tap of a kernel belongs to at most one phase, those of one that has no pixels to none.
void add_phase(const Execution& run, const Gather& g, std::int64_t taps, std::int64_t group_c, std::int64_t group_k,
               const float* x, float* dweight) {
  const Tensor sums = run.scratch({{std::ssize(g.taps), group_k, group_c}, DType::f32});
  const float* next = sums.data<float>().data();
  multiply_transposed(run, g, group_k, x, group_c, sums.data<float>().data());
  if (!run.computes()) return;
  for (const Tap& tap : g.taps)
    for (std::int64_t k = 0; k < group_k; ++k, next += group_c)
      std::copy_n(next, group_c, dweight + (k * taps + tap.index) * group_c);
}

}  // namespace

void weight_gradient_by_patches(const Execution& run, const ConvGeometry& g, const float* x, const float* dy,
                                float* dweight) {
  const std::int64_t group_c = g.C / g.groups, group_k = g.K / g.groups, size = group_k * g.taps() * group_c;
  const Tensor sums = run.scratch({{size}, DType::f32});
  float* all = sums.data<float>().data();
  for (std::int64_t group = 0; group < g.groups; ++group, dweight += size) {
    const float *group_x = x + group * group_c, *group_dy = dy + group * group_k;
    if (group_c <= group_k) {
      multiply_transposed(run, forward_gather(g, group_x, g.C), group_c, group_dy, group_k, all);
      if (run.computes())
        gemm::kernels(run.isa).transpose(g.taps() * group_c, group_k, all, group_k, dweight, g.taps() * group_c);
      continue;
    }
    if (run.computes()) std::fill_n(dweight, size, 0.0f);
    for (std::int64_t phase = 0; phase < phases_h(g) * phases_w(g); ++phase)
      add_phase(run, phase_gather(g, group_dy, g.K, phase / phases_w(g), phase % phases_w(g)), g.taps(), group_c,
                group_k, group_x, dweight);
  }
}

}  // namespace gesso::convolution
