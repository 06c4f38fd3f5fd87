// Layers: plain structs that declare their parameters in a scope and run ops. No base class, no virtual call. Calling
// one throws what its op throws where shapes do not fit, with the module's path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nn/context.h"
#include "nn/param_store.h"
#include "ops/activation.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"

namespace gesso::nn {

struct LinearOptions {
  std::int64_t in = 0, out = 0;
  bool bias = true;
  Activation activation = Activation::none;
  InitKind init = InitKind::kaiming_uniform;
};
// y[..., out] = activation(x[..., in] weight[out, in]^T + bias[out])
class Linear {
 public:
  Linear(const Scope& scope, const LinearOptions& options);
  Tensor operator()(const Context& context, const Tensor& x) const;  // [...,in] -> [...,out]

 private:
  std::string path_;
  Activation activation_;
  Param weight_;
  std::optional<Param> bias_;
};

struct ConvOptions {
  std::int64_t in = 0, out = 0, kernel = 3, stride = 1, padding = 1;
  bool bias = true;
  Activation activation = Activation::none;
  InitKind init = InitKind::kaiming_uniform;

  std::int64_t taps() const { return kernel * kernel; }
};
// Convolution, padded with zeros on all four sides: OH = (H + 2 padding - kernel) / stride + 1, rounded down. weight
// [out, kernel, kernel, in], on disk [out, in, kernel, kernel].
class Conv2d {
 public:
  Conv2d(const Scope& scope, const ConvOptions& options);
  // x: [N,H,W,in] -> [N,OH,OW,out]; residual, where given, is added before the activation.
  Tensor operator()(const Context& context, const Tensor& x, const Tensor& residual = {}) const;

 private:
  std::string path_;
  ops::Conv2dAttrs attrs_;
  Param weight_;
  std::optional<Param> bias_;
};

// Transposed convolution: the gradient of a Conv2d with respect to its input, as a layer. OH = (H - 1) stride - 2
// padding
// + kernel; on disk [in, out, kernel, kernel].
class ConvTranspose2d {
 public:
  ConvTranspose2d(const Scope& scope, const ConvOptions& options);
  Tensor operator()(const Context& context, const Tensor& x) const;  // [N,H,W,in] -> [N,OH,OW,out]

 private:
  std::string path_;
  ops::ConvTranspose2dAttrs attrs_;
  Param weight_;
  std::optional<Param> bias_;
};

// Wu and He 2018; groups must divide channels.
struct GroupNormOptions {
  std::int64_t channels = 0, groups = 32;
  double eps = 1e-6;
  bool silu = false;
};
class GroupNorm {
 public:
  GroupNorm(const Scope& scope, const GroupNormOptions& options);
  Tensor operator()(const Context& context, const Tensor& x) const;  // [N,...,C] -> the same

 private:
  std::string path_;
  GroupNormOptions options_;
  Param weight_, bias_;
};

// Ioffe and Szegedy 2015. While training by the batch's mean and variance, else by the running ones.
struct BatchNormOptions {
  std::int64_t channels = 0;
  double eps = 1e-5, momentum = 0.1;
};
// Its running statistics move with the step's commit, not in the forward pass.
class BatchNorm {
 public:
  BatchNorm(const Scope& scope, const BatchNormOptions& options);
  Tensor operator()(const Context& context, const Tensor& x) const;  // [N,...,C] -> the same

 private:
  std::string path_;
  BatchNormOptions options_;
  Param weight_, bias_, running_mean_, running_variance_;
};

// Rows of a table by index, each index in [0, count).
class Embedding {
 public:
  Embedding(const Scope& scope, std::int64_t count, std::int64_t width);
  Tensor operator()(const Context& context, const Tensor& index) const;  // [...] i32 -> [..., width]

 private:
  std::string path_;
  Param weight_;
};

// Zeroes elements with probability `rate`, in [0, 1), and divides the others by 1 - rate, while training; the identity
// otherwise (Srivastava et al. 2014).
class Dropout {
 public:
  Dropout(const Scope& scope, double rate) : path_(scope.path()), rate_(rate) {}
  Tensor operator()(const Context& context, const Tensor& x) const;  // [N,...] -> the same

 private:
  std::string path_;
  double rate_;
};

}  // namespace gesso::nn
