#include "ops/unary_simd.h"

#include "core/simd.h"

namespace gesso {
namespace {

using Tag = simd::Native;
using V = simd::Vec<Tag>;

struct Relu {
  static V value(V x) { return select(x < V(0.0f), V(0.0f), x); }
  static V gradient(V y, V dy) { return select(V(0.0f) < y, dy, V(0.0f)); }
};
struct Silu {
  static V value(V x) { return x * sigmoid(x); }
  static V gradient(V x, V dy) {
    const V s = sigmoid(x);
    return dy * s * fma(x, V(1.0f) - s, V(1.0f));
  }
};
struct Exp {
  static V value(V x) { return exp(x); }
  static V gradient(V y, V dy) { return dy * y; }
};
struct Log {
  static V value(V x) { return log(x); }
  static V gradient(V x, V dy) { return dy / x; }
};
struct Square {
  static V value(V x) { return x * x; }
  static V gradient(V x, V dy) { return dy * x * 2.0f; }
};
struct Sqrt {
  static V value(V x) { return sqrt(x); }
  static V gradient(V y, V dy) { return dy / (y * 2.0f); }
};

template <class F>
constexpr UnaryKernel kernel() {
  return {.forward = [](int64_t n, const float* x, float* y) { simd::map<Tag>(n, &F::value, y, x); },
          .backward = [](int64_t n, const float* kept, const float* dy,
                         float* dx) { simd::map<Tag>(n, &F::gradient, dx, kept, dy); }};
}

}  // namespace

template <>
const UnaryKernels& unary_kernels<Tag>() {
  static constexpr UnaryKernels table = {.relu = kernel<Relu>(),
                                         .silu = kernel<Silu>(),
                                         .exp = kernel<Exp>(),
                                         .log = kernel<Log>(),
                                         .square = kernel<Square>(),
                                         .sqrt = kernel<Sqrt>()};
  return table;
}

}  // namespace gesso
