// Inner loops of ops/winograd.cpp: the transforms of Winograd's convolution F(m x m, 3x3) (Lavin and Gray 2016, "Fast
// Algorithms for Convolutional Neural Networks"), a vector of channels at a time.
//
//   y = A^T [(G g G^T) . (B^T d B)] A          a tile of m x m results from a patch d of (m + 2) x (m + 2) pixels
//   dg = G^T [(B^T d B) . (A dy A^T)] G        summed over the tiles before G
//
// Value e = i (m + 2) + j of a transformed square lies in plane e.
#pragma once

#include <stdint.h>

#include "core/simd_tags.h"
#include "ops/activation.h"

namespace gesso {

// Value e of channel c goes to planes[e * plane + c / block * block_apart + c % block]. Whole vectors are stored, with
// zeros beyond the last channel; `block` is a multiple of 16.
struct WinogradSquare {
  const float* const* pixels;  // row by row, each `channels` floats
  int64_t channels;
  float* planes;
  int64_t plane, block, block_apart;
};

// Channel c of the result's pixel (i, j) goes to out[i * h_stride + j * w_stride + c].
struct WinogradTile {
  const float* sums;  // value e of channel c: sums[e * plane + c]
  int64_t plane, channels;
  float* out;
  int64_t h_stride, w_stride;
  int64_t rows, columns;  // those that are stored
  const float* bias;      // [channels], or null
  const float* residual;  // laid out as out, or null
  Activation activation;
};

struct WinogradKernels {
  static constexpr int kMaxPlanes = 36;

  int tile, patch;                                        // m, m + 2
  void (*input)(const WinogradSquare& square);            // B^T d B of patch x patch pixels
  void (*output)(const WinogradTile& tile);               // activation(A^T sums A + bias + residual)
  void (*output_gradient)(const WinogradSquare& square);  // A dy A^T of tile x tile pixels
  // planes[e * plane + i] = (G g G^T)[e] for i < n, where g is taps[(0..8) * tap + i].
  void (*weight)(int64_t n, const float* taps, int64_t tap, float* planes, int64_t plane);
  // taps[(0..8) * tap + i] = G^T u G, where u is planes[e * plane + i].
  void (*weight_gradient)(int64_t n, const float* planes, int64_t plane, float* taps, int64_t tap);
};
struct WinogradTable {
  WinogradKernels f2, f4;
};
template <class Tag>
const WinogradTable& winograd_table();

}  // namespace gesso
