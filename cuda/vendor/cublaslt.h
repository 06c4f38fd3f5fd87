// Matrix products by cuBLASLt.
#pragma once

#include <functional>

#include "core/tensor.h"
#include "cuda/vendor/call.h"

namespace gesso::cuda::vendor {

struct Matrices {
  Tensor t;  // [rows,columns], or a batch of them
  bool transposed = false;
};

// What computes c = op(a) op(b) by the algorithm that cuBLASLt's heuristic puts first; empty where it has none.
std::function<void()> product(const Matrices& a, const Matrices& b, const Tensor& c, Precision precision);

}  // namespace gesso::cuda::vendor
