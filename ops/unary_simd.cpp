#include "ops/unary_simd.h"

#include "core/simd_math.h"

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
struct Neg {
  static V value(V x) { return -x; }
  static V gradient(V, V dy) { return -dy; }
};
struct Abs {
  static V value(V x) { return abs(x); }
  static V gradient(V x, V dy) { return select(V(0.0f) < x, dy, select(x < V(0.0f), -dy, V(0.0f))); }
};
struct Rsqrt {
  static V value(V x) { return V(1.0f) / sqrt(x); }
  static V gradient(V y, V dy) { return dy * y * y * y * -0.5f; }
};
struct Sin {
  static V value(V x) { return simd::sin(x); }
  static V gradient(V x, V dy) { return dy * simd::cos(x); }
};
struct Cos {
  static V value(V x) { return simd::cos(x); }
  static V gradient(V x, V dy) { return -(dy * simd::sin(x)); }
};
struct Sigmoid {
  static V value(V x) { return sigmoid(x); }
  static V gradient(V y, V dy) { return dy * y * (V(1.0f) - y); }
};
struct Tanh {
  static V value(V x) { return tanh(x); }
  static V gradient(V y, V dy) { return dy * (V(1.0f) - y) * (y + 1.0f); }
};
struct Softplus {
  static V value(V x) { return softplus(x); }
  static V gradient(V x, V dy) { return dy * sigmoid(x); }
};
struct LeakyRelu {
  static V value(V x, UnaryParameters p) { return select(x < V(0.0f), x * p.first, x); }
  static V gradient(V x, V dy, UnaryParameters p) { return select(V(0.0f) < x, dy, dy * p.first); }
};
struct GeluErf {
  static V value(V x) { return x * standard_normal(x).below; }
  static V gradient(V x, V dy) {
    const simd::Normal<Tag> normal = standard_normal(x);
    return dy * fma(x, normal.density, normal.below);
  }
};
// (1 + tanh u) / 2 is the sigmoid of 2 u: no difference of nearly equal numbers where x is far below 0.
struct GeluTanh {
  // Beyond 100 the sigmoid is 0 or 1 whatever the square; bounded, it leaves no infinity to be multiplied by 0.
  static V square(V x) { return min(V(1e4f), x * x); }
  static V gate(V x) { return sigmoid(x * fma(square(x), V(0.0713548163f), V(1.59576912f))); }
  static V value(V x) { return x * gate(x); }
  static V gradient(V x, V dy) {
    const V s = gate(x), slope = fma(square(x), V(0.214064449f), V(1.59576912f));
    return dy * s * fma(x * (V(1.0f) - s), slope, V(1.0f));
  }
};
struct Clamp {
  static V value(V x, UnaryParameters p) { return min(V(p.second), max(V(p.first), x)); }  // NaN passes
  static V gradient(V x, V dy, UnaryParameters p) {
    return select(V(p.first) <= x, select(x <= V(p.second), dy, V(0.0f)), V(0.0f));
  }
};

template <class F>
void forward(int64_t n, UnaryParameters p, const float* x, float* y) {
  if constexpr (requires(V v) { F::value(v, p); })
    simd::map<Tag>(
        n, [=](V v) __attribute__((always_inline)) { return F::value(v, p); }, y, x);
  else
    simd::map<Tag>(n, &F::value, y, x);
}
template <class F>
void backward(int64_t n, UnaryParameters p, const float* kept, const float* dy, float* dx) {
  if constexpr (requires(V v) { F::gradient(v, v, p); })
    simd::map<Tag>(
        n, [=](V v, V d) __attribute__((always_inline)) { return F::gradient(v, d, p); }, dx, kept, dy);
  else
    simd::map<Tag>(n, &F::gradient, dx, kept, dy);
}

template <class F>
constexpr UnaryKernel kernel() {
  return {.forward = forward<F>, .backward = backward<F>};
}

}  // namespace

template <>
const UnaryKernels& unary_kernels<Tag>() {
  static constexpr UnaryKernels table = {.relu = kernel<Relu>(),
                                         .silu = kernel<Silu>(),
                                         .exp = kernel<Exp>(),
                                         .log = kernel<Log>(),
                                         .square = kernel<Square>(),
                                         .sqrt = kernel<Sqrt>(),
                                         .neg = kernel<Neg>(),
                                         .abs = kernel<Abs>(),
                                         .rsqrt = kernel<Rsqrt>(),
                                         .sin = kernel<Sin>(),
                                         .cos = kernel<Cos>(),
                                         .sigmoid = kernel<Sigmoid>(),
                                         .tanh = kernel<Tanh>(),
                                         .softplus = kernel<Softplus>(),
                                         .leaky_relu = kernel<LeakyRelu>(),
                                         .gelu_erf = kernel<GeluErf>(),
                                         .gelu_tanh = kernel<GeluTanh>(),
                                         .clamp = kernel<Clamp>()};
  return table;
}

}  // namespace gesso
