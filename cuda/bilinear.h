// The entries of matmul, conv2d and conv_transpose2d: y = activation(P(x, weight) + bias + residual), where P is
// bilinear (ops/bilinear.h). Included by their .cpp only.
#pragma once

#include "cuda/binary.h"
#include "cuda/entry.h"
#include "cuda/product.h"
#include "cuda/reduce_axes.h"
#include "cuda/unary.h"

namespace gesso::cuda {

// P has Attrs with a member `activation`, and forward(run, attrs, x, weight, y, epilogue),
// input_gradient(run, attrs, dy, weight, dx), weight_gradient(run, attrs, x, dy, dweight).
template <class P>
struct Bilinear {
  using Attrs = typename P::Attrs;

  static void forward(const Attributes& attributes, const Forward& f) {
    const auto attrs = attributes.as<Attrs>();
    P::forward(f.run, attrs, f.in[0], f.in[1], f.out[0], epilogue(f.in, attrs.activation));
  }
  static void backward(const Attributes& attributes, const Backward& b) {
    const auto attrs = attributes.as<Attrs>();
    const Tensor g = sum_gradient(attrs, b);
    if (b.dx[0]) P::input_gradient(b.run, attrs, g, b.in[1], b.dx[0]);
    if (b.dx[1]) P::weight_gradient(b.run, attrs, b.in[0], g, b.dx[1]);
    if (b.dx[2]) sum_axes(b.run, g, stretched_axes(b.dx[2].shape(), g.shape()), 1, b.dx[2]);
    if (b.dx[3] && !b.dx[3].same_memory(g)) scale_to(b.run, g, 1, b.dx[3]);
  }

 private:
  static ProductEpilogue epilogue(std::span<const Tensor> in, Activation activation) {
    return {.bias = pointer<float>(in[2]), .residual = pointer<float>(in[3]), .activation = activation};
  }
  // The gradient of what the activation is applied to. It is the residual's, too.
  static Tensor sum_gradient(const Attrs& attrs, const Backward& b) {
    if (attrs.activation == Activation::none) return b.dy[0];
    const Tensor g = b.dx[3] ? b.dx[3] : b.run.scratch(b.dy[0].spec());
    Tensor kept = b.out[0];
    if (attrs.activation == Activation::silu) {
      kept = b.run.scratch(b.dy[0].spec());
      P::forward(b.run, attrs, b.in[0], b.in[1], kept, epilogue(b.in, Activation::none));
    }
    activation_gradient(b.run, attrs.activation, kept, b.dy[0], g);
    return g;
  }
};

template <class P>
constexpr Kernels kBilinear = {Bilinear<P>::forward, Bilinear<P>::backward};

}  // namespace gesso::cuda
