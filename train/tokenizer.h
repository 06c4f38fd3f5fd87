// A VQ-VAE as what turns pictures into codes and back: pictures of any size, in tiles, so that memory stays bounded.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/vqvae.h"
#include "nn/context.h"
#include "nn/param_store.h"
#include "train/image.h"

namespace gesso {

// What decides which pictures codes stand for: 32 hexadecimal digits of XXH3 (128 bits) over the parameters of encoder
// and decoder and the codebook in the order of their declaration, each as its name, a NUL, its shape ("[512,64]"), a
// NUL, and its values, f32 little-endian.
std::string tokenizer_hash(const nn::ParamStore& store);

// What codes must agree with.
struct TokenizerFacts {
  std::string hash;
  std::int64_t codebook = 0;  // codes are below it
  std::int64_t factor = 0;    // pixels a code, along each side
  std::int64_t channels = 0;
};

struct Codes {
  std::int64_t count = 0, height = 0, width = 0;
  std::vector<std::int32_t> values;  // [count,height,width]
};
struct PictureSize {
  std::int64_t height = 0, width = 0;
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

class Tokenizer {
 public:
  static constexpr std::int64_t kTile = 512;

  // Computes about tile x tile pixels at once, and besides what they see around them; results do not depend on it.
  // Model and store, whose parameters are the model's, must outlive this.
  Tokenizer(const models::Vqvae& model, const nn::ParamStore& store, std::int64_t tile = kTile);

  TokenizerFacts facts() const;

  // Pictures of one shape. Sides that the model's factor does not divide are padded, with the edge where the model has
  // no padding of its own.
  template <class T>
  Codes encode(std::span<const BasicImage<T>> pictures) const;
  // sizes: one a picture, of those that have so many codes.
  template <class T>
  std::vector<BasicImage<T>> decode(const Codes& codes, std::span<const PictureSize> sizes) const;

 private:
  struct Window;
  // body(window) for tiles that cover so many codes together.
  template <class Body>
  void for_each_window(std::int64_t code_height, std::int64_t code_width, Body&& body) const;
  std::int64_t pictures_at_once(std::int64_t codes_each) const;
  // The codes of a window and what it sees.
  template <class T>
  std::vector<std::int32_t> encode_window(std::span<const BasicImage<T>> pictures, const Window& window) const;
  // Their pixels in [-0.5, 0.5], for pictures [begin, begin + count), and those of the window alone into pictures.
  std::vector<float> decode_window(const Codes& codes, std::int64_t begin, std::int64_t count,
                                   const Window& window) const;
  template <class T>
  void store_window(const std::vector<float>& pixels, const Window& window, std::span<BasicImage<T>> pictures) const;

  const models::Vqvae& model_;
  const nn::ParamStore& store_;
  std::int64_t tile_;  // codes a side
  nn::StepState state_;
};

}  // namespace gesso
