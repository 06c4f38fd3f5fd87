// Matrix products, one or a batch, with what usually follows them.
#pragma once

#include "ops/activation.h"
#include "ops/op.h"

namespace gesso {

std::vector<const RowInfo*> matmul_rows();

}  // namespace gesso

namespace gesso::ops {

struct MatmulAttrs {
  bool transpose_a = false, transpose_b = false;
  Activation activation = Activation::none;
};

// activation(op(a) op(b) + bias + residual): [M,K] times [K,N], or a batch of each, [B...,M,K] times [B...,K,N] with
// the same B...; a transposed operand lies as [B...,K,M] or [B...,N,K]. bias [N], residual as the result; each may be
// absent. Throws where shapes do not fit.
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs = {}, const Tensor& bias = {},
              const Tensor& residual = {});
// x[...,K] weight[M,K]^T + bias[M]: a fully connected layer over the last dimension.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, Activation activation = Activation::none);

}  // namespace gesso::ops
