// Elementwise calls made of tensors, by numpy's rule of broadcasting. Included by entries.
#pragma once

#include <array>
#include <span>

#include "core/tensor.h"
#include "cuda/elementwise.h"
#include "ops/broadcast.h"

namespace gesso::cuda {

// What decides whether a thread may take four neighbours at once.
struct Access {
  const void* data;
  std::size_t element;  // bytes
};
// The loop over `result`, and the steps of each operand in it. accesses: of the result, then of the operands.
Loop stretched_loop(const Shape& result, std::span<Steps> operands, std::span<const Access> accesses);

// y = f(x...), each x stretched to y's shape. Throws where y is stretched and has 2^31 elements or more.
template <class Y, class... X, class... Tensors>
Elementwise<Y, X...> elementwise_of(const Tensor& y, const Tensors&... x) {
  static_assert(sizeof...(X) == sizeof...(Tensors));
  std::array<Steps, sizeof...(X)> steps{steps_of(x.shape(), y.shape())...};
  const Access accesses[] = {{y.bytes(), sizeof(Y)}, {x.bytes(), sizeof(X)}...};
  Elementwise<Y, X...> map{stretched_loop(y.shape(), steps, accesses), y.template data<Y>().data(), {}};
  std::size_t i = 0;
  map.x = {[&] {
    Source<X> source{x.template data<X>().data(), {}};
    for (std::size_t d = 0; d < kLoopRank; ++d) source.step[d] = steps[i][d];
    ++i;
    return source;
  }()...};
  return map;
}

}  // namespace gesso::cuda
