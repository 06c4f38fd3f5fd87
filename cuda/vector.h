// Four neighbours at a time: 16 bytes of float, one access of a thread. Included by .cu files.
#pragma once

#include "cuda/cu.h"
#include "cuda/elementwise.h"

namespace gesso::cuda {
namespace {

template <class T>
struct alignas(vector_alignment(sizeof(T))) Vector {
  T at[kVector];
};

// The first `count` of four elements, the others T{}; in one access where `whole`: then they are four, and aligned.
template <class T>
__device__ __forceinline__ Vector<T> load_up_to(const T* x, int count, bool whole) {
  if (whole) return cu::load_as<Vector<T>>(x);
  Vector<T> values{};
  CU_UNROLL
  for (int i = 0; i < kVector; ++i)
    if (i < count) values.at[i] = x[i];
  return values;
}
template <class T>
__device__ __forceinline__ void store_up_to(T* y, const Vector<T>& values, int count, bool whole) {
  if (whole) return cu::store_as(y, values);
  CU_UNROLL
  for (int i = 0; i < kVector; ++i)
    if (i < count) y[i] = values.at[i];
}

}  // namespace
}  // namespace gesso::cuda
