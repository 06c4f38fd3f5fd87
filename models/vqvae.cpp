#include "models/vqvae.h"

#include "core/error.h"
#include "core/profiler.h"
#include "ops/concat.h"
#include "ops/unary.h"

namespace gesso::models {
namespace {

// Channels after downsampling `level` of `levels`: hidden at the innermost, half at all others.
std::int64_t channels_at(const VqvaeOptions& options, std::int64_t level) {
  return level == options.downsamples ? options.hidden : options.hidden / 2;
}

std::vector<ResidualBlock> residual_stack(const nn::Scope& scope, const VqvaeOptions& options) {
  std::vector<ResidualBlock> blocks;
  for (std::int64_t i = 0; i < options.residual_blocks; ++i) blocks.emplace_back(scope / static_cast<int>(i), options);
  return blocks;
}

// A part of the network whose inner results are not kept where the context says so: they are computed again in the
// backward pass. stage(x) -> Tensor.
template <class Stage>
Tensor run_stage(const nn::Context& context, std::string_view name, const Tensor& x, const Stage& stage) {
  if (!context.recompute) return stage(x);
  return recompute(
      name, [stage](std::span<const Tensor> in) { return Tensors{stage(in[0])}; }, std::span(&x, 1))[0];
}

void check_sides(const VqvaeOptions& options, std::int64_t height, std::int64_t width) {
  const std::int64_t factor = options.factor();
  if (height < 1 || width < 1) fail("vqvae: images are {}x{}, but need at least one pixel a side", height, width);
  if (options.padding == ImagePadding::none && (height % factor != 0 || width % factor != 0))
    fail(
        "vqvae: images are {}x{}, but {} stride-2 convolutions need a height and width divisible by {}; "
        "set model.padding=edge, lower model.downsamples or resize the images",
        height, width, options.downsamples, factor);
}

}  // namespace

void VqvaeOptions::validate() const {
  if (channels < 1 || hidden < 2 || residual_hidden < 1 || residual_blocks < 0)
    fail("vqvae: model.channels {}, model.hidden {} and model.residual_hidden {} must be positive (hidden at least 2)",
         channels, hidden, residual_hidden);
  if (downsamples < 1 || downsamples > 6) fail("vqvae: model.downsamples must be 1 to 6, but is {}", downsamples);
  check_sides(*this, height, width);
}

Tensor pad_to_factor(const Tensor& x, std::int64_t factor, ops::PadMode mode) {
  const auto missing = [&](int axis) { return (factor - x.dim(axis) % factor) % factor; };
  if (missing(1) == 0 && missing(2) == 0) return x;
  return ops::pad(x, {.before = {0, 0, 0, 0}, .after = {0, missing(1), missing(2), 0}, .mode = mode});
}

Tensor crop(const Tensor& x, std::int64_t height, std::int64_t width) {
  const auto cut = [](const Tensor& t, int axis, std::int64_t size) {
    return t.dim(axis) == size ? t : ops::split(t, axis, {size, t.dim(axis) - size})[0];
  };
  return cut(cut(x, 1, height), 2, width);
}

ResidualBlock::ResidualBlock(const nn::Scope& scope, const VqvaeOptions& options)
    : conv3x3_(scope / "conv3x3", {.in = options.hidden,
                                   .out = options.residual_hidden,
                                   .bias = options.residual_bias,
                                   .activation = Activation::relu,
                                   .init = options.init}),
      dropout_(scope / "dropout", options.dropout),
      conv1x1_(scope / "conv1x1", {.in = options.residual_hidden,
                                   .out = options.hidden,
                                   .kernel = 1,
                                   .padding = 0,
                                   .bias = options.residual_bias,
                                   .init = options.init}) {}

Tensor ResidualBlock::operator()(const nn::Context& context, const Tensor& x) const {
  return conv1x1_(context, dropout_(context, conv3x3_(context, ops::relu(x))), x);
}

VqvaeEncoder::VqvaeEncoder(const nn::Scope& scope, const VqvaeOptions& options)
    : conv3x3_(scope / "conv3x3", {.in = options.hidden, .out = options.hidden, .init = options.init}),
      blocks_(residual_stack(scope / "residual", options)),
      to_code_(
          scope / "to_code",
          {.in = options.hidden, .out = options.quantizer.width, .kernel = 1, .padding = 0, .init = options.init}) {
  for (std::int64_t level = 1; level <= options.downsamples; ++level)
    down_.emplace_back(scope / "down" / static_cast<int>(level - 1),
                       nn::ConvOptions{.in = level == 1 ? options.channels : channels_at(options, level - 1),
                                       .out = channels_at(options, level),
                                       .kernel = 4,
                                       .stride = 2,
                                       .activation = Activation::relu,
                                       .init = options.init});
}

Tensor VqvaeEncoder::operator()(const nn::Context& context, const Tensor& x) const {
  const ProfileRange range(RangeKind::module, "encoder");
  const Tensor downsampled = run_stage(context, "encoder.down", x, [this, &context](Tensor h) {
    for (const nn::Conv2d& conv : down_) h = conv(context, h);
    return h;
  });
  return run_stage(context, "encoder.residual", downsampled, [this, &context](Tensor h) {
    h = conv3x3_(context, h);
    for (const ResidualBlock& block : blocks_) h = block(context, h);
    return to_code_(context, ops::relu(h));
  });
}

VqvaeDecoder::VqvaeDecoder(const nn::Scope& scope, const VqvaeOptions& options)
    : conv3x3_(scope / "conv3x3", {.in = options.quantizer.width, .out = options.hidden, .init = options.init}),
      blocks_(residual_stack(scope / "residual", options)) {
  for (std::int64_t level = options.downsamples; level >= 1; --level) {
    const bool last = level == 1;
    up_.emplace_back(scope / "up" / static_cast<int>(options.downsamples - level),
                     nn::ConvOptions{.in = channels_at(options, level),
                                     .out = last ? options.channels : channels_at(options, level - 1),
                                     .kernel = 4,
                                     .stride = 2,
                                     .activation = last ? Activation::none : Activation::relu,
                                     .init = options.init});
  }
}

Tensor VqvaeDecoder::operator()(const nn::Context& context, const Tensor& q) const {
  const ProfileRange range(RangeKind::module, "decoder");
  Tensor h = run_stage(context, "decoder.residual", q, [this, &context](Tensor inner) {
    inner = conv3x3_(context, inner);
    for (const ResidualBlock& block : blocks_) inner = block(context, inner);
    return ops::relu(inner);
  });
  // Not a stage: its backward pass comes first, when all that is kept is still there, whatever it keeps itself.
  for (const nn::ConvTranspose2d& conv : up_) h = conv(context, h);
  return h;
}

Vqvae::Vqvae(const nn::Scope& scope, const VqvaeOptions& options)
    : encoder(scope / "encoder", options),
      quantizer(scope / "quantizer", options.quantizer),
      decoder(scope / "decoder", options),
      options_(options) {
  options.validate();
}

VqvaeResult Vqvae::operator()(const nn::Context& context, const Tensor& x) const {
  check_sides(options_, x.dim(1), x.dim(2));
  const ops::PadMode mode = options_.padding == ImagePadding::zero ? ops::PadMode::zero : ops::PadMode::edge;
  VqvaeResult result;
  result.quantized = quantizer(context, encoder(context, pad_to_factor(x, options_.factor(), mode)));
  result.reconstruction = crop(decoder(context, result.quantized.q), x.dim(1), x.dim(2));
  return result;
}

}  // namespace gesso::models
