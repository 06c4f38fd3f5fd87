// y = f(x...), element by element, over operands that may be stretched: what all elementwise families hand to their
// kernels. cuda/elementwise_kernel.h has the kernel, cuda/stretch.h makes these of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <tuple>

#include "cuda/divisor.h"

namespace gesso::cuda {

constexpr int kLoopRank = 6;
constexpr int kVector = 4;  // elements a thread: 16 bytes of float

// An access has at most 16 bytes.
constexpr std::size_t vector_alignment(std::size_t element) { return element * kVector < 16 ? element * kVector : 16; }
template <class T>
bool vectors_at(const T* data) {
  return reinterpret_cast<std::uintptr_t>(data) % vector_alignment(sizeof(T)) == 0;
}

// The dimensions of a result, innermost first, neighbours joined where all operands allow it.
struct Loop {
  std::int64_t count = 0;
  int rank = 1;
  bool in_vectors = false;       // four neighbours at a time: addresses, steps and the innermost size allow it
  Divisor size[kLoopRank] = {};  // where rank is 1: unused, and count may be beyond 32 bits
};

// An operand, and how far apart its neighbours are along each dimension of the loop; 0: stretched. 0 or 1 along the
// innermost.
template <class T>
struct Source {
  const T* data = nullptr;
  std::int64_t step[kLoopRank] = {};
};

template <class Y, class... X>
struct Elementwise {
  Loop loop;
  Y* y;  // dense; may be where an operand of the result's shape lies
  std::tuple<Source<X>...> x;
};
using Map0 = Elementwise<float>;
using Map1 = Elementwise<float, float>;
using Map2 = Elementwise<float, float, float>;
using Map3 = Elementwise<float, float, float, float>;

}  // namespace gesso::cuda
