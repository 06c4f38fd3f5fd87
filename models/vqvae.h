// VQ-VAE with the encoder and decoder of DeepMind's sonnet example (github.com/google-deepmind/sonnet,
// examples/vqvae_example).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "models/vector_quantizer.h"
#include "nn/layers.h"
#include "ops/pad.h"

namespace gesso::models {

// What becomes of images whose sides do not divide by VqvaeOptions::factor(): refused, or padded on the right and at
// the bottom, with the nearest pixel or with 0, and their reconstructions cut back.
enum class ImagePadding : std::uint8_t { none, edge, zero };

// Codes along a side of so many pixels, `factor` a code; the last may cover padding.
constexpr std::int64_t codes_along(std::int64_t pixels, std::int64_t factor) { return (pixels + factor - 1) / factor; }

struct VqvaeOptions {
  std::int64_t height = 0, width = 0, channels = 0;  // of the images
  std::int64_t hidden = 128;                         // channels inside
  std::int64_t residual_hidden = 32;                 // channels of the 3x3 convolution inside a residual block
  std::int64_t residual_blocks = 2;
  bool residual_bias = true;     // of the convolutions inside a residual block
  std::int64_t downsamples = 2;  // 4x4 stride-2 convolutions; each halves height and width
  ImagePadding padding = ImagePadding::none;
  double dropout = 0;  // before each residual block's 1x1 convolution
  nn::InitKind init = nn::InitKind::lecun_normal;
  QuantizerOptions quantizer = {};

  std::int64_t factor() const { return std::int64_t{1} << downsamples; }  // pixels a code, along each side
  std::int64_t codes_along(std::int64_t pixels) const { return models::codes_along(pixels, factor()); }
  std::int64_t code_height() const { return codes_along(height); }
  std::int64_t code_width() const { return codes_along(width); }
  // How far anything is seen: a code depends on the pixels of codes at most so many places away, a pixel on codes at
  // most so many places from its own. The 3x3 convolutions see one place each at the codes' resolution, all the 4x4
  // ones of a side together less than one more.
  std::int64_t reach() const { return residual_blocks + 2; }
  // Throws where the image size is not divisible by the factor and there is no padding, or a value cannot be right.
  void validate() const;
};

// x: [N,H,W,C] -> [N,H',W',C], the next sizes that the factor divides; x itself where it divides its sides already.
Tensor pad_to_factor(const Tensor& x, std::int64_t factor, ops::PadMode mode);
// The first height x width pixels of x: [N,H',W',C] -> [N,height,width,C].
Tensor crop(const Tensor& x, std::int64_t height, std::int64_t width);

// x + conv1x1(dropout(relu(conv3x3(relu(x)))))
class ResidualBlock {
 public:
  ResidualBlock(const nn::Scope& scope, const VqvaeOptions& options);
  Tensor operator()(const nn::Context& context, const Tensor& x) const;  // [N,h,w,hidden] -> the same

 private:
  nn::Conv2d conv3x3_;
  nn::Dropout dropout_;
  nn::Conv2d conv1x1_;
};

// conv4x4 stride 2 -> hidden/2, relu, conv4x4 stride 2 -> hidden, relu, conv3x3, residual blocks, relu, conv1x1 -> D.
class VqvaeEncoder {
 public:
  VqvaeEncoder(const nn::Scope& scope, const VqvaeOptions& options);
  Tensor operator()(const nn::Context& context, const Tensor& x) const;  // [N,H,W,C] -> [N,h,w,D]

 private:
  std::vector<nn::Conv2d> down_;
  nn::Conv2d conv3x3_;
  std::vector<ResidualBlock> blocks_;
  nn::Conv2d to_code_;
};

// conv3x3 -> hidden, residual blocks, relu, transposed conv4x4 stride 2 -> hidden/2, relu, transposed conv4x4 stride 2
// -> C.
class VqvaeDecoder {
 public:
  VqvaeDecoder(const nn::Scope& scope, const VqvaeOptions& options);
  Tensor operator()(const nn::Context& context, const Tensor& q) const;  // [N,h,w,D] -> [N,H,W,C]

 private:
  nn::Conv2d conv3x3_;
  std::vector<ResidualBlock> blocks_;
  std::vector<nn::ConvTranspose2d> up_;
};

struct VqvaeResult {
  Tensor reconstruction;  // [N,H,W,C]
  Quantized quantized;
};

class Vqvae {
 public:
  Vqvae(const nn::Scope& scope, const VqvaeOptions& options);
  // x: [N,H,W,C], in [-0.5, 0.5]; H and W may differ from the options', but only padding lets the factor not divide
  // them.
  VqvaeResult operator()(const nn::Context& context, const Tensor& x) const;
  const VqvaeOptions& options() const { return options_; }

  VqvaeEncoder encoder;
  VectorQuantizer quantizer;
  VqvaeDecoder decoder;

 private:
  VqvaeOptions options_;
};

}  // namespace gesso::models
