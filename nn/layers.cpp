#include "nn/layers.h"

#include "core/profiler.h"
#include "ops/assign.h"
#include "ops/batch_norm.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/group_norm.h"
#include "ops/matmul.h"

namespace gesso::nn {
namespace {

ParamSpec weight_spec(const Shape& shape, InitKind init, std::int64_t fan_in, std::int64_t fan_out,
                      DiskOrder order = DiskOrder::same) {
  return {.shape = shape,
          .init = {.kind = init, .fan_in = fan_in, .fan_out = fan_out},
          .decays = true,
          .disk_order = order};
}

// Biases start as their weight's initialiser says: uniform like PyTorch's for kaiming_uniform, else zero.
std::optional<Param> declare_bias(const Scope& scope, bool wanted, std::int64_t out, InitKind init,
                                  std::int64_t fan_in) {
  if (!wanted) return std::nullopt;
  const InitKind kind = init == InitKind::kaiming_uniform ? InitKind::kaiming_uniform : InitKind::zeros;
  return scope.declare("bias", {.shape = {out}, .init = {.kind = kind, .fan_in = fan_in}});
}

Tensor tensor_of(const std::optional<Param>& param) { return param ? param->tensor() : Tensor(); }

}  // namespace

Linear::Linear(const Scope& scope, const LinearOptions& options)
    : path_(scope.path()),
      activation_(options.activation),
      weight_(scope.declare("weight", weight_spec({options.out, options.in}, options.init, options.in, options.out))),
      bias_(declare_bias(scope, options.bias, options.out, options.init, options.in)) {}

Tensor Linear::operator()(const Context&, const Tensor& x) const {
  const ProfileRange range(RangeKind::module, path_);
  return ops::linear(x, weight_, tensor_of(bias_), activation_);
}

Conv2d::Conv2d(const Scope& scope, const ConvOptions& options)
    : path_(scope.path()),
      attrs_{.stride = options.stride, .padding = options.padding, .activation = options.activation},
      weight_(scope.declare("weight", weight_spec({options.out, options.kernel, options.kernel, options.in},
                                                  options.init, options.in * options.taps(),
                                                  options.out * options.taps(), DiskOrder::channels_second))),
      bias_(declare_bias(scope, options.bias, options.out, options.init, options.in * options.taps())) {}

Tensor Conv2d::operator()(const Context&, const Tensor& x, const Tensor& residual) const {
  const ProfileRange range(RangeKind::module, path_);
  return ops::conv2d(x, weight_, attrs_, {.bias = tensor_of(bias_), .residual = residual});
}

ConvTranspose2d::ConvTranspose2d(const Scope& scope, const ConvOptions& options)
    : path_(scope.path()),
      attrs_{.stride = options.stride, .padding = options.padding, .activation = options.activation},
      weight_(scope.declare("weight", weight_spec({options.in, options.kernel, options.kernel, options.out},
                                                  options.init, options.in * options.taps(),
                                                  options.out * options.taps(), DiskOrder::channels_second))),
      bias_(declare_bias(scope, options.bias, options.out, options.init, options.in * options.taps())) {}

Tensor ConvTranspose2d::operator()(const Context&, const Tensor& x) const {
  const ProfileRange range(RangeKind::module, path_);
  return ops::conv_transpose2d(x, weight_, attrs_, tensor_of(bias_));
}

GroupNorm::GroupNorm(const Scope& scope, const GroupNormOptions& options)
    : path_(scope.path()),
      options_(options),
      weight_(scope.declare("weight", {.shape = {options.channels}, .init = {.kind = InitKind::ones}})),
      bias_(scope.declare("bias", {.shape = {options.channels}})) {}

Tensor GroupNorm::operator()(const Context&, const Tensor& x) const {
  const ProfileRange range(RangeKind::module, path_);
  const ops::GroupNormAttrs attrs{
      .groups = options_.groups, .eps = static_cast<float>(options_.eps), .silu = options_.silu};
  return ops::group_norm(x, weight_, bias_, attrs).y;
}

BatchNorm::BatchNorm(const Scope& scope, const BatchNormOptions& options)
    : path_(scope.path()),
      options_(options),
      weight_(scope.declare("weight", {.shape = {options.channels}, .init = {.kind = InitKind::ones}})),
      bias_(scope.declare("bias", {.shape = {options.channels}})),
      running_mean_(scope.declare("running_mean", {.shape = {options.channels}, .kind = ParamKind::state})),
      running_variance_(scope.declare(
          "running_var", {.shape = {options.channels}, .init = {.kind = InitKind::ones}, .kind = ParamKind::state})) {}

Tensor BatchNorm::operator()(const Context& context, const Tensor& x) const {
  const ProfileRange range(RangeKind::module, path_);
  const ops::BatchNormAttrs attrs{.eps = static_cast<float>(options_.eps),
                                  .momentum = static_cast<float>(options_.momentum),
                                  .train = context.training()};
  const ops::BatchNormResult result = ops::batch_norm(x, weight_, bias_, running_mean_, running_variance_, attrs);
  if (context.training()) {
    const auto announce = [&](const Tensor& target, const Tensor& value) {
      context.updates.announce(
          target, [=](std::span<const Tensor> taken, const Tensor& gate) { ops::assign(target, taken[0], gate); },
          {{value, StateUpdates::Join::mean}});
    };
    announce(running_mean_, result.running_mean);
    announce(running_variance_, result.running_variance);
  }
  return result.y;
}

Embedding::Embedding(const Scope& scope, std::int64_t count, std::int64_t width)
    : path_(scope.path()),
      weight_(scope.declare("weight", {.shape = {count, width}, .init = {.kind = InitKind::normal}})) {}

Tensor Embedding::operator()(const Context&, const Tensor& index) const {
  const ProfileRange range(RangeKind::module, path_);
  return ops::embedding(weight_, index);
}

Tensor Dropout::operator()(const Context& context, const Tensor& x) const {
  if (!context.training() || rate_ == 0) return x;
  const ProfileRange range(RangeKind::module, path_);
  return ops::dropout(
      x, context.state.step,
      {.rate = rate_, .key = context.key(Purpose::dropout, path_), .first_sample = context.first_sample});
}

}  // namespace gesso::nn
