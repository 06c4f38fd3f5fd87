#include "cuda/elementwise_kernel.h"
#include "cuda/logistic.h"
#include "cuda/unary.h"

namespace gesso::cuda {
namespace {

struct Relu {
  static __device__ float value(float x) { return x < 0.0f ? 0.0f : x; }
  static __device__ float gradient(float y, float dy) { return y > 0.0f ? dy : 0.0f; }
};
struct Silu {
  static __device__ float value(float x) { return silu(x); }
  static __device__ float gradient(float x, float dy) { return silu_gradient(x, dy); }
};
struct Exp {
  static __device__ float value(float x) { return expf(x); }
  static __device__ float gradient(float y, float dy) { return dy * y; }
};
struct Log {
  static __device__ float value(float x) { return logf(x); }
  static __device__ float gradient(float x, float dy) { return dy / x; }
};
struct Square {
  static __device__ float value(float x) { return x * x; }
  static __device__ float gradient(float x, float dy) { return dy * x * 2.0f; }
};
struct Sqrt {
  static __device__ float value(float x) { return sqrtf(x); }
  static __device__ float gradient(float y, float dy) { return dy / (y * 2.0f); }
};
struct Neg {
  static __device__ float value(float x) { return -x; }
  static __device__ float gradient(float, float dy) { return -dy; }
};
struct Abs {
  static __device__ float value(float x) { return fabsf(x); }
  static __device__ float gradient(float x, float dy) { return x > 0.0f ? dy : x < 0.0f ? -dy : 0.0f; }
};
struct Rsqrt {
  static __device__ float value(float x) { return 1.0f / sqrtf(x); }
  static __device__ float gradient(float y, float dy) { return dy * y * y * y * -0.5f; }
};
struct Sin {
  static __device__ float value(float x) { return sinf(x); }
  static __device__ float gradient(float x, float dy) { return dy * cosf(x); }
};
struct Cos {
  static __device__ float value(float x) { return cosf(x); }
  static __device__ float gradient(float x, float dy) { return -(dy * sinf(x)); }
};
struct Sigmoid {
  static __device__ float value(float x) { return logistic(x); }
  static __device__ float gradient(float y, float dy) { return dy * y * (1.0f - y); }
};
struct Tanh {
  static __device__ float value(float x) { return tanhf(x); }
  static __device__ float gradient(float y, float dy) { return dy * (1.0f - y) * (y + 1.0f); }
};
struct Softplus {
  static __device__ float value(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
  static __device__ float gradient(float x, float dy) { return dy * logistic(x); }
};
struct LeakyRelu {
  static __device__ float value(float x, UnaryParameters p) { return x < 0.0f ? x * p.first : x; }
  static __device__ float gradient(float x, float dy, UnaryParameters p) { return x > 0.0f ? dy : dy * p.first; }
};
// The normal distribution: its density at x, and the probability of a value below x.
struct GeluErf {
  static __device__ float below(float x) { return 0.5f * erfcf(-0.707106781f * x); }
  static __device__ float value(float x) { return x * below(x); }
  static __device__ float gradient(float x, float dy) {
    const float density = 0.398942280f * expf(-0.5f * x * x);
    return dy * fmaf(x, density, below(x));
  }
};
// (1 + tanh u) / 2 is the sigmoid of 2 u: no difference of nearly equal numbers where x is far below 0.
struct GeluTanh {
  // Beyond 100 the sigmoid is 0 or 1 whatever the square; bounded, it leaves no infinity to be multiplied by 0.
  static __device__ float square(float x) { return x * x > 1e4f ? 1e4f : x * x; }
  static __device__ float gate(float x) { return logistic(x * fmaf(square(x), 0.0713548163f, 1.59576912f)); }
  static __device__ float value(float x) { return x * gate(x); }
  static __device__ float gradient(float x, float dy) {
    const float s = gate(x), slope = fmaf(square(x), 0.214064449f, 1.59576912f);
    return dy * s * fmaf(x * (1.0f - s), slope, 1.0f);
  }
};
struct Clamp {
  static __device__ float value(float x, UnaryParameters p) {
    return x < p.first ? p.first : x > p.second ? p.second : x;
  }
  static __device__ float gradient(float x, float dy, UnaryParameters p) {
    return p.first <= x && x <= p.second ? dy : 0.0f;
  }
};

template <class F>
struct Value {
  UnaryParameters p;
  __device__ float operator()(float x) const {
    if constexpr (requires { F::value(x, p); })
      return F::value(x, p);
    else
      return F::value(x);
  }
};
template <class F>
struct Gradient {
  UnaryParameters p;
  __device__ float operator()(float kept, float dy) const {
    if constexpr (requires { F::gradient(kept, dy, p); })
      return F::gradient(kept, dy, p);
    else
      return F::gradient(kept, dy);
  }
};

template <class F>
void forward(cu::Stream stream, UnaryParameters p, const Map1& map) {
  run_elementwise(stream, Value<F>{p}, map);
}
template <class F>
void backward(cu::Stream stream, UnaryParameters p, const Map2& map) {
  run_elementwise(stream, Gradient<F>{p}, map);
}
template <class F>
constexpr UnaryFunction function() {
  return {.forward = forward<F>, .backward = backward<F>};
}

}  // namespace

template <>
const UnaryKernels& unary_kernels<cu::Build>() {
  static constexpr UnaryKernels table = {.relu = function<Relu>(),
                                         .silu = function<Silu>(),
                                         .exp = function<Exp>(),
                                         .log = function<Log>(),
                                         .square = function<Square>(),
                                         .sqrt = function<Sqrt>(),
                                         .neg = function<Neg>(),
                                         .abs = function<Abs>(),
                                         .rsqrt = function<Rsqrt>(),
                                         .sin = function<Sin>(),
                                         .cos = function<Cos>(),
                                         .sigmoid = function<Sigmoid>(),
                                         .tanh = function<Tanh>(),
                                         .softplus = function<Softplus>(),
                                         .leaky_relu = function<LeakyRelu>(),
                                         .gelu_erf = function<GeluErf>(),
                                         .gelu_tanh = function<GeluTanh>(),
                                         .clamp = function<Clamp>()};
  return table;
}

}  // namespace gesso::cuda
