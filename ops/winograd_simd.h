// Inner loops of ops/winograd.cpp: the transforms of Winograd's convolution F(m x m, r x r) (Lavin and Gray 2016, "Fast
// Algorithms for Convolutional Neural Networks"), a vector of channels at a time.
//
//   y = A^T [(G g G^T) . (B^T d B)] A          a tile of m x m results from a patch d of p x p pixels, p = m + r - 1
//   dg = G^T [(B^T d B) . (A dy A^T)] G        summed over the tiles before G
//
// Value e = i p + j of a transformed square lies in plane e.
//
// A side of a tile may be short, m - 1 results from p - 1 pixels: it does without one of the p points of interpolation,
// and the tile without the planes of that point. The transformed weights are the same.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/activation.h"
#include "ops/kept_bits.h"

namespace gesso {

// Value e of channel c goes to planes[e * plane + c / block * block_apart + c % block]. Whole vectors are stored, with
// zeros beyond the last channel; `block` is a multiple of 16.
struct WinogradSquare {
  const float* const* pixels;  // row by row, each `channels` floats
  int64_t channels;
  const float* const* next;  // what comes next, laid out the same, is fetched on the way; null: nothing
  float* planes;
  int64_t plane, block, block_apart;
};

// Channel c of the result's pixel (i, j) goes to out[i * h_stride + j * w_stride + c].
struct WinogradTile {
  const float* sums;  // value e of channel c: sums[e * plane + c]
  int64_t plane, channels;
  float* out;
  int64_t h_stride, w_stride;
  int64_t ahead;          // floats from `out` to that of the next tile, which is fetched on the way
  int64_t rows, columns;  // those that are stored
  const float* bias;      // [channels], or null
  const float* residual;  // laid out as out, or null
  Activation activation;
  KeptBits kept;  // out's first float is element 0
};

struct WinogradKernels {
  static constexpr int kMaxPlanes = 36;

  int taps, tile, patch;  // r, m, p
  int left_out;           // the point that a short side does without; -1: no side is short
  // [1 where the tile's height is short][its width]
  void (*input[2][2])(const WinogradSquare& square);            // B^T d B of patch x patch pixels
  void (*output[2][2])(const WinogradTile& tile);               // dropout(activation(A^T sums A + bias + residual))
  void (*output_gradient[2][2])(const WinogradSquare& square);  // A dy A^T of tile x tile pixels
  // planes[e * plane + i] = (G g G^T)[e] for i < n, where tap (j, k) of g is taps[j * down + k * across + i].
  void (*weight)(int64_t n, const float* taps, int64_t down, int64_t across, float* planes, int64_t plane);
  // Tap (j, k) of G^T u G to taps[j * down + k * across + i], where u is planes[e * plane + i].
  void (*weight_gradient)(int64_t n, const float* planes, int64_t plane, float* taps, int64_t down, int64_t across);
};
struct WinogradTable {
  WinogradKernels f2, f4, f4_by_2;  // F(2x2,3x3), F(4x4,3x3), F(4x4,2x2)
};
template <class Tag>
const WinogradTable& winograd_table();

}  // namespace gesso
