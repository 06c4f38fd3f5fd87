// Inner loops of ops/convolution_patches.cpp: convolutions with few channels on one side.
//
// The patch of a pixel is what the taps of a kernel see from it: the numbers image[place + offsets[e]], e < entries, of
// an image that holds its padding, so that no loop asks where the image ends.
#pragma once

#include <stdint.h>

#include "ops/gemm_simd.h"

namespace gesso {

// Tiles compute so many pixels at a time; those beyond the last one have a place, but no result.
constexpr int kMostTilePixels = 8;

// out[results[i] + j] = epilogue(sum over e of image[places[i] + offsets[e]] * panels[e][j]): few channels in, many
// out.
struct PatchProduct {
  int64_t pixels;
  const float* image;
  const int64_t* places;   // [pixels + kMostTilePixels]
  const int64_t* results;  // [pixels]
  int64_t entries;
  const int64_t* offsets;             // [entries]
  const float* panels;                // that of first_column and those after it, as GemmTile has them
  int64_t first_column, last_column;  // those that are computed, from a panel's first on
  float* out;                         // where column 0 of the row with offset 0 goes
  const GemmEpilogue* epilogue;       // null: none; its pointers start at column 0
};

// sums[e][j] (+)= the sum over some lines and columns of image[line * image_line + column * image_step + offsets[e]] *
// wide[line * wide_line + column * wide_step + j]: the gradient of a weight between few channels and many.
struct PatchGradient {
  int64_t lines, columns;
  const float* image;
  int64_t image_line, image_step;
  const float* wide;
  int64_t wide_line, wide_step;
  int64_t entries;
  const int64_t* offsets;  // [entries]
  int64_t channels;        // of wide
  float* sums;             // [entries][channels]
  bool add;                // to what `sums` holds
};

// What a tap sees, relative to the first pixel of the window, and its weights.
struct DotTap {
  int64_t place;   // in the table
  int64_t weight;  // in the weights
};
// out[results[i] + j] = epilogue(sum over taps t and channels c of table[places[i] + taps[t].place][c] *
// weights[taps[t].weight + j * apart + c]): many channels in, few out.
struct PatchDots {
  static constexpr int kMostRows = 4;

  int64_t pixels;
  const float* const* table;  // of pixels of the image
  const int64_t* places;      // [pixels + kMostTilePixels]
  const int64_t* results;     // [pixels]
  int64_t taps;
  const DotTap* tap;  // [taps]
  int64_t channels;
  const float* weights;
  int64_t rows, apart;           // rows: at most kMostRows
  float* out;                    // where row 0 of the pixel with offset 0 goes
  const GemmEpilogue* epilogue;  // null: none; its pointers start at row 0
};

// out[results[i]] = epilogue(sum over t of products[places[i] + offsets[t]]): one result of many channels, where each
// tap has been multiplied before.
struct PatchSums {
  int64_t pixels;
  const float* products;
  const int64_t* places;   // [pixels + kMostTilePixels]
  const int64_t* results;  // [pixels]
  int64_t taps;
  const int64_t* offsets;  // [taps]
  float* out;
  const GemmEpilogue* epilogue;  // null: none; its pointers start at the result with offset 0
};

struct PatchKernels {
  void (*product)(const PatchProduct& product);
  void (*gradient)(const PatchGradient& gradient);
  void (*dots)(const PatchDots& dots);
  void (*sums)(const PatchSums& sums);
};
template <class Tag>
const PatchKernels& patch_kernels();

}  // namespace gesso
