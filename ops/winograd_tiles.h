// What the passes of Winograd's convolution share: the tiles of a grid and the squares of pixels that they see.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ops/convolution_gather.h"
#include "ops/winograd_simd.h"

namespace gesso::convolution {

// taps: 3 or 2, the height and width of a part of a kernel.
const WinogradKernels& winograd_kernels(ConvAlgorithm algorithm, std::int64_t taps, Isa isa);

// Floats from one plane to the next: an odd number of cache lines, so that the same places of all planes lie in
// different sets of L1.
inline std::int64_t plane_apart(std::int64_t floats) { return (divide_up(floats, 16) | 1) * 16; }
// Channels as they lie in transformed pixels: whole vectors on every instruction set.
inline std::int64_t whole_vectors(std::int64_t channels) { return divide_up(channels, 16) * 16; }

// A grid of N x height x width pixels in tiles: those of one shape. Tiles at the end may reach beyond the grid.
struct Tiles {
  struct Side {
    std::int64_t extent, first, count, size;  // of the grid; of the first tile; tiles; pixels of a tile
    bool is_short;
  };
  struct At {
    std::int64_t n, h, w;  // the first pixel
  };
  std::int64_t N;
  Side down, across;

  std::int64_t count() const { return N * down.count * across.count; }
  At at(std::int64_t i) const {
    return {i / across.count / down.count, down.first + i / across.count % down.count * down.size,
            across.first + i % across.count * across.size};
  }
};
// The shapes that cover the grid: where an extent is no multiple of a tile's, short tiles at its end waste less.
std::vector<Tiles> tiles_of(const WinogradKernels& winograd, std::int64_t N, std::int64_t height, std::int64_t width);
// The planes that such tiles have.
std::vector<std::int64_t> planes_of(const WinogradKernels& winograd, const Tiles& tiles);

// An image [N,height,width,channels], pixels `apart` floats from each other; `zeros` holds as many as it has channels.
struct Image {
  const float* first;
  std::int64_t height, width, apart;
  const float* zeros;
};
// A kernel with stride s is the sum of s x s kernels with stride 1, its parts: part (a, b) has the taps whose places
// are (a, b) modulo s, and sees every s-th pixel of the image's rows and columns.
struct Parts {
  static constexpr std::int64_t kMost = 4;  // the stride is 1 or 2

  std::int64_t stride, taps;  // taps: of a part, a side

  std::int64_t count() const { return stride * stride; }
  std::int64_t down(std::int64_t part) const { return part / stride; }
  std::int64_t across(std::int64_t part) const { return part % stride; }
  // In the whole kernel: its width; the first tap of a part; from one of its taps to the one below and to the next.
  std::int64_t kernel() const { return stride * taps; }
  std::int64_t first_tap(std::int64_t part) const { return down(part) * kernel() + across(part); }
  std::int64_t tap_below() const { return stride * kernel(); }
  std::int64_t next_tap() const { return stride; }
};
using Square = std::array<const float*, WinogradKernels::kMaxPlanes>;

// height x width pixels from `at` on, row by row, `step` from each other in the image; zeros outside.
inline void look_at(const Image& image, const Tiles::At& at, std::int64_t height, std::int64_t width, std::int64_t step,
                    Square& square) {
  std::size_t next = 0;
  for (std::int64_t h = at.h; h < at.h + height * step; h += step) {
    const std::int64_t line = (at.n * image.height + h) * image.width;
    const bool inside = h >= 0 && h < image.height;
    for (std::int64_t w = at.w; w < at.w + width * step; w += step)
      square[next++] = inside && w >= 0 && w < image.width ? image.first + (line + w) * image.apart : image.zeros;
  }
}

// Where tiles look: from a pixel of their grid, times the stride, to the first that its taps see.
struct View {
  Image image;
  Parts parts;
  std::int64_t shift_h, shift_w;
};

// Calls visit(tile, part, square, next) for the tiles [begin, end) and the parts [first, last). next: what the next
// tile sees there, null for the last one.
template <class Visit>
void for_each_square(const View& view, const Tiles& tiles, std::int64_t begin, std::int64_t end, std::int64_t first,
                     std::int64_t last, Visit visit) {
  const Parts& parts = view.parts;
  std::array<std::array<Square, Parts::kMost>, 2> squares;  // of this tile and the next, in turn
  const auto square_of = [&](std::int64_t tile, std::int64_t part) -> Square& {
    return squares[static_cast<std::size_t>(tile % 2)][static_cast<std::size_t>(part)];
  };
  const auto look = [&](std::int64_t tile) {
    const Tiles::At at = tiles.at(tile);
    const std::int64_t h = at.h * parts.stride + view.shift_h, w = at.w * parts.stride + view.shift_w;
    for (std::int64_t part = first; part < last; ++part)
      look_at(view.image, {at.n, h + parts.down(part), w + parts.across(part)}, tiles.down.size + parts.taps - 1,
              tiles.across.size + parts.taps - 1, parts.stride, square_of(tile, part));
  };
  if (begin < end) look(begin);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    const bool is_last = tile + 1 == end;
    if (!is_last) look(tile + 1);
    for (std::int64_t part = first; part < last; ++part)
      visit(tile, part, square_of(tile, part).data(), is_last ? nullptr : square_of(tile + 1, part).data());
  }
}

}  // namespace gesso::convolution
