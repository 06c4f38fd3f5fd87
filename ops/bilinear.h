// What matmul, conv2d and conv_transpose2d share: y = activation(P(x, weight) + bias + residual), where P is bilinear,
// that is, a list of which x meets which weight for which y. From that list follow the reference and both its
// gradients; P brings the kernels. Included by the op's own .cpp only.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/binary.h"
#include "ops/describe.h"
#include "ops/gemm.h"
#include "ops/unary.h"

namespace gesso {

// Operands x, weight, bias [last dimension of y], residual (as y); the last two may be absent. P has:
//   Attrs with a member `activation`, name, doc
//   infer(attrs, x, weight) -> Spec                              y, or a clear Error
//   for_each_product(attrs, x, weight, visit(in_x, in_weight, in_y))    shapes; positions of elements
//   products(attrs, x, weight) -> double                         their number, those with padding among them
//   tolerance(attrs, x, weight) -> double                        as a row's
//   forward(run, attrs, x, weight, y, epilogue), input_gradient(run, attrs, dy, weight, dx),
//   weight_gradient(run, attrs, x, dy, dweight)                  f32 kernels on tensors
//   samples, benchmarks, random_case, rejects
template <class P>
struct Bilinear {
  static constexpr std::string_view name = P::name, doc = P::doc;
  using Attrs = typename P::Attrs;
  static constexpr Operands differentiable = operands(0, 1, 2, 3);

  // relu's derivative is seen in y; silu's needs what went in, which is computed again: that costs a forward pass, and
  // keeping it would cost a tensor as large as y.
  static Operands saved_inputs(const Attrs& attrs, Operands wanted) {
    if (attrs.activation == Activation::silu) return operands(0, 1, 2, 3);
    return (has(wanted, 1) ? operands(0) : 0) | (has(wanted, 0) ? operands(1) : 0);
  }
  static Operands saved_outputs(const Attrs& attrs, Operands) {
    return attrs.activation == Activation::relu ? operands(0) : 0;
  }

  static Specs infer(const Attrs& attrs, std::span<const Spec> in) {
    if (!is_floating(in[0].dtype) || !is_floating(in[1].dtype))
      fail("{}: operands must be floating ({}, {})", name, in[0].text(), in[1].text());
    const Spec y = P::infer(attrs, in[0], in[1]);
    const Spec &bias = in[2], &residual = in[3];
    if (bias.dtype != DType::none && bias != Spec{{y.shape.back()}, y.dtype})
      fail("{}: bias must be [{}] {}, one a channel of the result {}, but is {}", name, y.shape.back(),
           gesso::name_of(y.dtype), y.text(), bias.text());
    if (residual.dtype != DType::none && residual != y)
      fail("{}: residual must be as the result {}, but is {}", name, y.text(), residual.text());
    return {y};
  }
  static double flops(const Attrs& attrs, std::span<const Spec> in) {
    return 2 * P::products(attrs, in[0].shape, in[1].shape);
  }
  static double tolerance(const Attrs& attrs, std::span<const Spec> in) {
    return P::tolerance(attrs, in[0].shape, in[1].shape);
  }

  static Tensors composition(const Attrs& attrs, std::span<const Tensor> in) {
    Attrs plain = attrs;
    plain.activation = Activation::none;
    Tensor y = dispatch(row_of<Bilinear>(), plain, {in[0], in[1], Tensor(), Tensor()})[0];
    if (in[2]) y = ops::add(y, in[2]);
    if (in[3]) y = ops::add(y, in[3]);
    if (attrs.activation == Activation::relu) return {ops::relu(y)};
    if (attrs.activation == Activation::silu) return {ops::silu(y)};
    return {y};
  }

  template <class T>
  static void reference(const Attrs& attrs, const Forward& f) {
    const std::vector<T> sums = reference_sums<T>(attrs, f.in, f.out[0].shape());
    std::ranges::transform(sums, f.out[0].data<T>().begin(), [&](T sum) {
      if (attrs.activation == Activation::relu) return sum < 0 ? T{0} : sum;
      if (attrs.activation == Activation::silu) return sum / (1 + std::exp(-sum));
      return sum;
    });
  }
  template <class T>
  static void reference_backward(const Attrs& attrs, const Backward& b) {
    const std::vector<T> g = reference_sum_gradient<T>(attrs, b);  // [as y]
    for (const std::size_t i : {0u, 1u, 2u, 3u})
      if (b.dx[i]) std::ranges::fill(b.dx[i].data<T>(), T{0});
    if (b.dx[0]) {
      const auto weight = b.in[1].data<T>(), dx = b.dx[0].data<T>();
      P::for_each_product(attrs, b.dx[0].shape(), b.in[1].shape(),
                          [&](std::size_t x, std::size_t w, std::size_t y) { dx[x] += g[y] * weight[w]; });
    }
    if (b.dx[1]) {
      const auto x_of = b.in[0].data<T>(), dweight = b.dx[1].data<T>();
      P::for_each_product(attrs, b.in[0].shape(), b.dx[1].shape(),
                          [&](std::size_t x, std::size_t w, std::size_t y) { dweight[w] += g[y] * x_of[x]; });
    }
    if (b.dx[2]) {
      const auto dbias = b.dx[2].data<T>();
      for (std::size_t i = 0; i < g.size(); ++i) dbias[i % dbias.size()] += g[i];
    }
    if (b.dx[3]) std::ranges::copy(g, b.dx[3].data<T>().begin());
  }

  static void cpu(const Attrs& attrs, const Forward& f) {
    P::forward(f.run, attrs, f.in[0], f.in[1], f.out[0], epilogue(f.in, attrs.activation));
  }
  static void cpu_backward(const Attrs& attrs, const Backward& b) {
    const Tensor g = sum_gradient(attrs, b);
    if (b.dx[0]) P::input_gradient(b.run, attrs, g, b.in[1], b.dx[0]);
    if (b.dx[1]) P::weight_gradient(b.run, attrs, b.in[0], g, b.dx[1]);
    if (b.dx[2])
      gemm::sum_rows(b.run, b.dx[2].count() == 0 ? 0 : g.count() / b.dx[2].count(), b.dx[2].count(), floats(g),
                     floats(b.dx[2]));
    if (b.dx[3]) b.dx[3].copy_from(g);
  }

  static std::vector<Case<Attrs>> samples() { return P::samples(); }
  static std::vector<Case<Attrs>> benchmarks() { return P::benchmarks(); }
  static Case<Attrs> random_case(Random& random) { return P::random_case(random); }
  static std::vector<Reject<Attrs>> rejects() { return P::rejects(); }

 private:
  static float* floats(const Tensor& t) { return t ? t.data<float>().data() : nullptr; }
  static GemmEpilogue epilogue(std::span<const Tensor> in, Activation activation) {
    return {.bias = floats(in[2]), .residual = floats(in[3]), .activation = activation};
  }

  // P(x, weight) + bias + residual
  template <class T>
  static std::vector<T> reference_sums(const Attrs& attrs, std::span<const Tensor> in, const Shape& shape) {
    std::vector<T> sums(static_cast<std::size_t>(shape.count()));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      if (in[2]) sums[i] += in[2].data<T>()[i % static_cast<std::size_t>(in[2].count())];
      if (in[3]) sums[i] += in[3].data<T>()[i];
    }
    const auto x_of = in[0].data<T>(), weight = in[1].data<T>();
    P::for_each_product(attrs, in[0].shape(), in[1].shape(),
                        [&](std::size_t x, std::size_t w, std::size_t y) { sums[y] += x_of[x] * weight[w]; });
    return sums;
  }
  // The gradient of what the activation is applied to.
  template <class T>
  static std::vector<T> reference_sum_gradient(const Attrs& attrs, const Backward& b) {
    const auto dy = b.dy[0].data<T>();
    std::vector<T> g(dy.begin(), dy.end());
    if (attrs.activation == Activation::relu) {
      const auto y = b.out[0].data<T>();
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = y[i] > 0 ? g[i] : T{0};
    } else if (attrs.activation == Activation::silu) {
      const std::vector<T> sums = reference_sums<T>(attrs, b.in, b.dy[0].shape());
      for (std::size_t i = 0; i < g.size(); ++i) {
        const T s = 1 / (1 + std::exp(-sums[i]));
        g[i] *= s * (1 + sums[i] * (1 - s));
      }
    }
    return g;
  }
  static Tensor sum_gradient(const Attrs& attrs, const Backward& b) {
    if (attrs.activation == Activation::none) return b.dy[0];
    const Tensor g = b.run.scratch(b.dy[0].spec());
    Tensor kept = b.out[0];
    if (attrs.activation == Activation::silu) {
      kept = b.run.scratch(b.dy[0].spec());
      P::forward(b.run, attrs, b.in[0], b.in[1], kept, epilogue(b.in, Activation::none));
    }
    gemm::activation_backward(b.run, g.count(), attrs.activation, floats(kept), floats(b.dy[0]), floats(g));
    return g;
  }
};

}  // namespace gesso
