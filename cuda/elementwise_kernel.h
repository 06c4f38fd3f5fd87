// The one kernel of all elementwise families. Included by .cu files.
#pragma once

#include "cuda/cu.h"
#include "cuda/elementwise.h"
#include "cuda/vector.h"

// Kernels are their file's own: a program holds those of both builds.
namespace gesso::cuda {
namespace {

constexpr int kElementwiseThreads = 256;

struct Place {
  std::int64_t digit[kLoopRank];  // of an element, along each dimension of the loop
};

__device__ __forceinline__ Place place_of(const Loop& loop, std::int64_t element) {
  Place place{};
  if (loop.rank == 1) {
    place.digit[0] = element;
    return place;
  }
  auto rest = static_cast<std::uint32_t>(element);
  CU_UNROLL
  for (int d = 0; d < kLoopRank; ++d) {
    if (d >= loop.rank) break;
    const std::uint32_t outer = loop.size[d].quotient(rest);
    place.digit[d] = rest - outer * loop.size[d].value();
    rest = outer;
  }
  return place;
}

template <class T>
__device__ __forceinline__ const T* address(const Source<T>& x, const Loop& loop, const Place& place) {
  std::int64_t offset = place.digit[0] * x.step[0];
  CU_UNROLL
  for (int d = 1; d < kLoopRank; ++d)
    if (d < loop.rank) offset += place.digit[d] * x.step[d];
  return x.data + offset;
}

template <class T>
__device__ __forceinline__ Vector<T> load_vector(const Source<T>& x, const Loop& loop, const Place& place) {
  const T* from = address(x, loop, place);
  if (x.step[0] != 0) return cu::load_as<Vector<T>>(from);
  Vector<T> same;
  CU_UNROLL
  for (int i = 0; i < kVector; ++i) same.at[i] = *from;
  return same;
}

// Four elements a thread as 16-byte accesses where the loop allows it, one a thread where not.
template <class F, class Y, class... X>
__global__ void __launch_bounds__(kElementwiseThreads) elementwise(Loop loop, F f, Y* y, Source<X>... x) {
  const std::int64_t unit = static_cast<std::int64_t>(blockIdx.x) * kElementwiseThreads + threadIdx.x;
  if (!loop.in_vectors) {
    if (unit < loop.count) {
      [[maybe_unused]] const Place place = place_of(loop, unit);
      y[unit] = f(*address(x, loop, place)...);
    }
    return;
  }
  const std::int64_t first = unit * kVector;
  if (first + kVector <= loop.count) {
    [[maybe_unused]] const Place place = place_of(loop, first);
    const auto apply = [&](const Vector<X>&... v) {
      Vector<Y> result;
      CU_UNROLL
      for (int i = 0; i < kVector; ++i) result.at[i] = f(v.at[i]...);
      return result;
    };
    cu::store_as(y + first, apply(load_vector(x, loop, place)...));
  } else {  // the end of a loop of one dimension
    for (std::int64_t i = first; i < loop.count; ++i) y[i] = f(x.data[i * x.step[0]]...);
  }
}

// f: a function object on the device, of one element of each operand.
template <class F, class Y, class... X>
void run_elementwise(cu::Stream stream, F f, const Elementwise<Y, X...>& map) {
  if (map.loop.count == 0) return;
  const std::int64_t units = map.loop.in_vectors ? (map.loop.count + kVector - 1) / kVector : map.loop.count;
  const auto blocks = static_cast<unsigned>((units + kElementwiseThreads - 1) / kElementwiseThreads);
  std::apply(
      [&](const Source<X>&... x) {
        cu::launch({.grid = dim3(blocks), .block = dim3(kElementwiseThreads), .stream = stream},
                   elementwise<F, Y, X...>, map.loop, f, map.y, x...);
      },
      map.x);
}

}  // namespace
}  // namespace gesso::cuda
