#include "cuda/cu.h"
#include "cuda/resample.h"

namespace gesso::cuda {
namespace {

constexpr int kThreads = 256;

// Where target t lies among the sources, ((2 t + 1) sources - targets) / (2 targets) limited to the picture, in whole
// numbers: between `low` and its successor, `share` of the way.
struct HalfPixel {
  int low;
  float share;
};
__device__ __forceinline__ HalfPixel half_pixel(int t, int sources, int targets) {
  const int at = (2 * t + 1) * sources - targets, end = 2 * targets * (sources - 1);
  const int inside = at < 0 ? 0 : at < end ? at : end, low = inside / (2 * targets);
  return {low, static_cast<float>(inside - low * 2 * targets) / static_cast<float>(2 * targets)};
}
// How much of source s target t has.
__device__ __forceinline__ float weight_of(int s, int t, int sources, int targets) {
  const HalfPixel at = half_pixel(t, sources, targets);
  return s == at.low ? 1.0f - at.share : s == at.low + 1 ? at.share : 0.0f;
}

// The pixel of a thread, in a picture of this size; which of its lanes the thread is.
struct Pixel {
  std::int64_t number, picture;
  int row, column, lane;
};
__device__ __forceinline__ Pixel pixel_of_thread(int lanes, int height, int width) {
  const int thread = static_cast<int>(threadIdx.x);
  Pixel p{static_cast<std::int64_t>(blockIdx.x) * (kThreads / lanes) + thread / lanes, 0, 0, 0, thread % lanes};
  const std::int64_t line = p.number / width;
  p.column = static_cast<int>(p.number - line * width);
  p.picture = line / height;
  p.row = static_cast<int>(line - p.picture * height);
  return p;
}

__global__ void __launch_bounds__(kThreads) interpolate(Bilinear b) {
  const Pixel p = pixel_of_thread(b.lanes, b.new_height, b.new_width);
  if (p.picture >= b.pictures) return;
  const HalfPixel down = half_pixel(p.row, b.height, b.new_height), across = half_pixel(p.column, b.width, b.new_width);
  const float* corner = b.from + ((p.picture * b.height + down.low) * b.width + across.low) * b.channels;
  const std::int64_t below = b.width * b.channels;
  for (std::int64_t c = p.lane; c < b.channels; c += b.lanes) {
    // What has no share is not read: there may be none, and 0 times infinity would be NaN.
    const auto blend = [&](const float* x) {
      return across.share == 0 ? x[0] : (1.0f - across.share) * x[0] + across.share * x[b.channels];
    };
    float y = blend(corner + c);
    if (down.share != 0) y = (1.0f - down.share) * y + down.share * blend(corner + below + c);
    b.to[p.number * b.channels + c] = y;
  }
}

// The targets that may have a share of source s: those that lie within one source of it.
struct Targets {
  int first, end;
};
__device__ __forceinline__ Targets targets_of(int s, int sources, int targets) {
  const int first = ((2 * s - 1) * targets - sources) / (2 * sources);
  const int end = ((2 * s + 3) * targets - sources) / (2 * sources) + 1;
  return {first < 0 ? 0 : first, end < targets ? end : targets};
}

__global__ void __launch_bounds__(kThreads) interpolate_backward(Bilinear b) {
  const Pixel p = pixel_of_thread(b.lanes, b.height, b.width);
  if (p.picture >= b.pictures) return;
  const Targets rows = targets_of(p.row, b.height, b.new_height), columns = targets_of(p.column, b.width, b.new_width);
  for (std::int64_t c = p.lane; c < b.channels; c += b.lanes) {
    float sum = 0;
    for (int i = rows.first; i < rows.end; ++i) {
      const float of_row = weight_of(p.row, i, b.height, b.new_height);
      if (of_row == 0) continue;
      const float* dy = b.from + (p.picture * b.new_height + i) * b.new_width * b.channels + c;
      for (int j = columns.first; j < columns.end; ++j) {
        const float weight = of_row * weight_of(p.column, j, b.width, b.new_width);
        if (weight != 0) sum += weight * dy[j * b.channels];
      }
    }
    b.to[p.number * b.channels + c] = sum;
  }
}

unsigned blocks_of(const Bilinear& b, int height, int width) {
  const std::int64_t pixels_a_block = kThreads / b.lanes;
  return static_cast<unsigned>((b.pictures * height * width + pixels_a_block - 1) / pixels_a_block);
}
void forward(cu::Stream stream, const Bilinear& b) {
  const unsigned blocks = blocks_of(b, b.new_height, b.new_width);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, interpolate, b);
}
void backward(cu::Stream stream, const Bilinear& b) {
  const unsigned blocks = blocks_of(b, b.height, b.width);
  cu::launch({.grid = dim3(blocks), .block = dim3(kThreads), .stream = stream}, interpolate_backward, b);
}

}  // namespace

template <>
const ResampleKernels& resample_kernels<cu::Build>() {
  static constexpr ResampleKernels table = {.forward = forward, .backward = backward};
  return table;
}

}  // namespace gesso::cuda
