// For the references of softmax and cross entropy.
#pragma once

#include <cmath>
#include <span>

namespace gesso {

// ln sum exp(x - shift). With the largest of x as the shift no exponent overflows, and one term is 1.
template <class T>
T log_of_sum(std::span<const T> x, T shift) {
  T sum = 0;
  for (T value : x) sum += std::exp(value - shift);
  return std::log(sum);
}

}  // namespace gesso
