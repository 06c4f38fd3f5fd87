// Which pixel of an image each tap of a kernel sees from each pixel of a grid: what the passes of ops/convolution.h
// share.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/convolution.h"

namespace gesso::convolution {

inline std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t n, std::int64_t to) { return divide_up(n, to) * to; }

// From a grid pixel (h, w) a tap sees the image at (h * step_h + shift_h, w * step_w + shift_w).
struct Tap {
  std::int64_t shift_h, shift_w;
  std::int64_t index;   // kernel_w * row + column, in the weight
  std::int64_t offset;  // of the shift, in floats
};

// A product over a grid of pixels: each gathers, tap by tap, a pixel of an image and gives one row of a result.
struct Gather {
  std::int64_t N, grid_h, grid_w;
  std::int64_t image_h, image_w, image_c, step_h, step_w;
  const float* image;  // of the group at hand
  std::vector<Tap> taps;
  // Offset of the result's row, in floats: n * n_stride + h * h_stride + w * w_stride + start.
  std::int64_t n_stride, h_stride, w_stride, start;

  std::int64_t rows() const { return N * grid_h * grid_w; }
  void add_tap(std::int64_t shift_h, std::int64_t shift_w, std::int64_t index) {
    taps.push_back({shift_h, shift_w, index, (shift_h * image_w + shift_w) * image_c});
  }
};

// The grid of y looks into x, or into something else of its height and width, `apart` floats from pixel to pixel.
Gather forward_gather(const ConvGeometry& g, const float* image, std::int64_t apart);
// The grid of those pixels of x that are (phase_h, phase_w) modulo the stride looks into y, or into something else of
// its height and width, through the taps that lead there.
Gather phase_gather(const ConvGeometry& g, const float* image, std::int64_t apart, std::int64_t phase_h,
                    std::int64_t phase_w);
// The phases that have pixels.
inline std::int64_t phases_h(const ConvGeometry& g) { return g.stride_h < g.H ? g.stride_h : g.H; }
inline std::int64_t phases_w(const ConvGeometry& g) { return g.stride_w < g.W ? g.stride_w : g.W; }

// Walks over the rows of a grid, in order.
class GridWalk {
 public:
  GridWalk(const Gather& g, std::int64_t row)
      : g_(g), n_(row / (g.grid_h * g.grid_w)), h_(row / g.grid_w % g.grid_h), w_(row % g.grid_w) {
    look();
  }
  void next() {
    ++w_;
    image_at_w_ += g_.step_w;
    image_offset_ += g_.step_w * g_.image_c;
    result_offset_ += g_.w_stride;
    if (w_ == g_.grid_w) next_line();
  }
  bool sees(std::int64_t shift_h, std::int64_t shift_w) const {
    const std::int64_t h = image_at_h_ + shift_h, w = image_at_w_ + shift_w;
    return h >= 0 && h < g_.image_h && w >= 0 && w < g_.image_w;
  }
  // What a tap sees, or `outside`.
  const float* pixel(const Tap& tap, const float* outside) const {
    return sees(tap.shift_h, tap.shift_w) ? g_.image + (image_offset_ + tap.offset) : outside;
  }
  std::int64_t result_offset() const { return result_offset_; }

 private:
  void next_line() {
    w_ = 0;
    if (++h_ == g_.grid_h) {
      h_ = 0;
      ++n_;
    }
    look();
  }
  void look() {
    image_at_h_ = h_ * g_.step_h;
    image_at_w_ = w_ * g_.step_w;
    image_offset_ = ((n_ * g_.image_h + image_at_h_) * g_.image_w + image_at_w_) * g_.image_c;
    result_offset_ = n_ * g_.n_stride + h_ * g_.h_stride + w_ * g_.w_stride + g_.start;
  }

  const Gather& g_;
  std::int64_t n_, h_, w_;
  // What a tap without shift sees; it may lie outside the image.
  std::int64_t image_at_h_, image_at_w_, image_offset_;
  std::int64_t result_offset_;
};

}  // namespace gesso::convolution
