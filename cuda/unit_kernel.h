// Types by which kernels move bytes. Included by .cu files.
#pragma once

#include "cuda/cu.h"

namespace gesso::cuda {
namespace {

// run.template operator()<Unit>() with the type of so many bytes: 1, 2, 4, 8 or 16.
template <class Run>
void with_unit(int bytes, Run&& run) {
  switch (bytes) {
    case 1:
      return run.template operator()<std::uint8_t>();
    case 2:
      return run.template operator()<std::uint16_t>();
    case 4:
      return run.template operator()<std::uint32_t>();
    case 8:
      return run.template operator()<std::uint64_t>();
    default:
      return run.template operator()<uint4>();
  }
}

template <class Unit>
__device__ __forceinline__ Unit same_bits(bool set) {
  if constexpr (sizeof(Unit) == 16) {
    const unsigned bits = set ? ~0u : 0u;
    return make_uint4(bits, bits, bits, bits);
  } else {
    return static_cast<Unit>(set ? ~std::uint64_t{0} : 0);
  }
}

}  // namespace
}  // namespace gesso::cuda
