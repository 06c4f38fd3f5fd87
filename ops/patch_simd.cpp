#include "ops/patch_simd.h"

#include "core/simd.h"
#include "ops/patch_tile.h"

namespace gesso {

template <>
const PatchKernels& patch_kernels<simd::Native>() {
  using Tile = PatchTile<simd::Native>;
  static constexpr PatchKernels table = {
      .product = Tile::product, .gradient = Tile::gradient, .dots = Tile::dots, .sums = Tile::sums};
  return table;
}

}  // namespace gesso
