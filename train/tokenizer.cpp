#include "train/tokenizer.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <new>

#include "core/error.h"
#include "core/tape.h"
#include "ops/conv_algorithm.h"
#include "ops/pad.h"
#include "train/pixel_range.h"

namespace gesso {
namespace {

bool decides_codes(const std::string& parameter) {
  return parameter.starts_with("encoder.") || parameter.starts_with("decoder.") || parameter == "quantizer.codebook";
}

// A rectangle of pixels or of codes.
struct Part {
  std::int64_t top, left, height, width;
};

template <class T>
const ImageShape& common_shape(std::span<const BasicImage<T>> pictures, std::int64_t channels) {
  if (pictures.empty()) fail("tokenizer: there is no picture; give at least one");
  const ImageShape& shape = pictures.front().shape;
  for (const BasicImage<T>& picture : pictures)
    if (picture.shape != shape)
      fail("tokenizer: pictures of {} and {} have no common grid of codes", shape.text(), picture.shape.text());
  if (shape.height < 1 || shape.width < 1 || shape.channels != channels)
    fail("tokenizer: the model codes pictures of {} channels and at least one pixel, not of {}", channels,
         shape.text());
  return shape;
}

// [N,part.height,part.width,C]
template <class T>
Tensor cut(std::span<const BasicImage<T>> pictures, const Part& part, Device& device) {
  const ImageShape& shape = pictures.front().shape;
  const std::int64_t row = part.width * shape.channels;
  const Shape cut_shape{std::ssize(pictures), part.height, part.width, shape.channels};
  std::vector<T> values(static_cast<std::size_t>(cut_shape.count()));
  T* to = values.data();
  for (const BasicImage<T>& picture : pictures)
    for (std::int64_t y = 0; y < part.height; ++y, to += row)
      std::copy_n(picture.pixels.data() + ((part.top + y) * shape.width + part.left) * shape.channels, row, to);
  return Tensor::from_host(std::span<const T>(values), cut_shape, device);
}

}  // namespace

std::string tokenizer_hash(const nn::ParamStore& store) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  const auto add = [&](const void* bytes, std::size_t count) { XXH3_128bits_update(state.get(), bytes, count); };
  for (const nn::Param& param : store.params()) {
    if (!decides_codes(param.name())) continue;
    const std::string shape = param.spec().shape.text();
    add(param.name().c_str(), param.name().size() + 1);
    add(shape.c_str(), shape.size() + 1);
    const std::vector<float> values = param.tensor().to_host<float>();
    add(values.data(), values.size() * sizeof(float));
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

// A tile of a grid of codes, and what it sees, cut off at the grid's borders.
struct Tokenizer::Window {
  Part inner, outer;  // in codes
};

Tokenizer::Tokenizer(const models::Vqvae& model, const nn::ParamStore& store, std::int64_t tile)
    : model_(model),
      store_(store),
      tile_(std::max<std::int64_t>(1, tile / model.options().factor())),
      state_(store.device()) {}

TokenizerFacts Tokenizer::facts() const {
  const models::VqvaeOptions& options = model_.options();
  return {.hash = tokenizer_hash(store_),
          .codebook = options.quantizer.codes,
          .factor = options.factor(),
          .channels = options.channels};
}

template <class Body>
void Tokenizer::for_each_window(std::int64_t code_height, std::int64_t code_width, Body&& body) const {
  const std::int64_t reach = model_.options().reach();
  for (std::int64_t top = 0; top < code_height; top += tile_)
    for (std::int64_t left = 0; left < code_width; left += tile_) {
      const std::int64_t bottom = std::min(top + tile_, code_height), right = std::min(left + tile_, code_width);
      Window window{.inner = {top, left, bottom - top, right - left}, .outer = {}};
      window.outer.top = std::max<std::int64_t>(0, top - reach);
      window.outer.left = std::max<std::int64_t>(0, left - reach);
      window.outer.height = std::min(bottom + reach, code_height) - window.outer.top;
      window.outer.width = std::min(right + reach, code_width) - window.outer.left;
      body(window);
    }
}

std::int64_t Tokenizer::pictures_at_once(std::int64_t codes_each) const {
  return std::max<std::int64_t>(1, tile_ * tile_ / codes_each);
}

template <class T>
std::vector<std::int32_t> Tokenizer::encode_window(std::span<const BasicImage<T>> pictures,
                                                   const Window& window) const {
  const models::VqvaeOptions& options = model_.options();
  const ImageShape& shape = pictures.front().shape;
  const std::int64_t factor = options.factor();
  Part pixels{window.outer.top * factor, window.outer.left * factor, 0, 0};
  pixels.height = std::min(window.outer.height * factor, shape.height - pixels.top);
  pixels.width = std::min(window.outer.width * factor, shape.width - pixels.left);
  const ops::PadMode mode = options.padding == models::ImagePadding::zero ? ops::PadMode::zero : ops::PadMode::edge;
  const Tensor x = models::pad_to_factor(normalise_images(cut(pictures, pixels, store_.device())), factor, mode);
  nn::StateUpdates none;
  const nn::Context context{.device = store_.device(), .state = state_, .updates = none};
  const Tensor index = model_.quantizer(context, model_.encoder(context, x)).index;
  return index.to_host<std::int32_t>();
}

template <class T>
Codes Tokenizer::encode(std::span<const BasicImage<T>> pictures) const {
  const NoGrad constants;
  const ConvAlgorithmScope direct(ConvAlgorithm::direct);  // tiles change no bit
  const ImageShape& shape = common_shape(pictures, model_.options().channels);
  Codes codes{.count = std::ssize(pictures),
              .height = model_.options().codes_along(shape.height),
              .width = model_.options().codes_along(shape.width),
              .values = {}};
  codes.values.resize(static_cast<std::size_t>(codes.count * codes.height * codes.width));
  const std::int64_t each = pictures_at_once(codes.height * codes.width);
  for (std::int64_t begin = 0; begin < codes.count; begin += each) {
    const auto batch = pictures.subspan(static_cast<std::size_t>(begin),
                                        static_cast<std::size_t>(std::min(each, codes.count - begin)));
    for_each_window(codes.height, codes.width, [&](const Window& window) {
      const std::vector<std::int32_t> found = encode_window(batch, window);
      const Part &inner = window.inner, &outer = window.outer;
      for (std::int64_t i = 0; i < std::ssize(batch); ++i)
        for (std::int64_t y = inner.top; y < inner.top + inner.height; ++y)
          std::copy_n(found.data() + (i * outer.height + y - outer.top) * outer.width + inner.left - outer.left,
                      inner.width, codes.values.data() + ((begin + i) * codes.height + y) * codes.width + inner.left);
    });
  }
  return codes;
}
template Codes Tokenizer::encode(std::span<const Image>) const;
template Codes Tokenizer::encode(std::span<const Image16>) const;

std::vector<float> Tokenizer::decode_window(const Codes& codes, std::int64_t begin, std::int64_t count,
                                            const Window& window) const {
  const Part& outer = window.outer;
  const Shape shape{count, outer.height, outer.width};
  std::vector<std::int32_t> seen(static_cast<std::size_t>(shape.count()));
  for (std::int64_t row = 0; row < count * outer.height; ++row) {
    const std::int64_t from = (begin + row / outer.height) * codes.height + outer.top + row % outer.height;
    std::copy_n(codes.values.data() + from * codes.width + outer.left, outer.width, seen.data() + row * outer.width);
  }
  nn::StateUpdates none;
  const nn::Context context{.device = store_.device(), .state = state_, .updates = none};
  const Tensor index = Tensor::from_host(std::span<const std::int32_t>(seen), shape, store_.device());
  return model_.decoder(context, model_.quantizer.lookup(index)).to_host<float>();
}

template <class T>
void Tokenizer::store_window(const std::vector<float>& pixels, const Window& window,
                             std::span<BasicImage<T>> pictures) const {
  const std::int64_t factor = model_.options().factor(), channels = model_.options().channels;
  const Part &inner = window.inner, &outer = window.outer;
  const std::int64_t width = outer.width * factor, skipped = (inner.left - outer.left) * factor;
  for (std::int64_t i = 0; i < std::ssize(pictures); ++i) {
    BasicImage<T>& picture = pictures[static_cast<std::size_t>(i)];
    const std::int64_t bottom = std::min((inner.top + inner.height) * factor, picture.shape.height);
    const std::int64_t right = std::min((inner.left + inner.width) * factor, picture.shape.width);
    const std::int64_t count = std::max<std::int64_t>(0, right - inner.left * factor) * channels;
    for (std::int64_t y = inner.top * factor; y < bottom; ++y) {
      const float* from =
          pixels.data() + ((i * outer.height * factor + y - outer.top * factor) * width + skipped) * channels;
      T* to = picture.pixels.data() + (y * picture.shape.width + inner.left * factor) * channels;
      std::transform(from, from + count, to, to_pixel<T>);
    }
  }
}

template <class T>
std::vector<BasicImage<T>> Tokenizer::decode(const Codes& codes, std::span<const PictureSize> sizes) const {
  const NoGrad constants;
  const ConvAlgorithmScope direct(ConvAlgorithm::direct);  // tiles change no bit
  const models::VqvaeOptions& options = model_.options();
  std::vector<BasicImage<T>> pictures;
  for (const PictureSize& size : sizes) {
    if (options.codes_along(size.height) != codes.height || options.codes_along(size.width) != codes.width)
      fail("tokenizer: {}x{} codes are no picture of {}x{}", codes.height, codes.width, size.height, size.width);
    pictures.emplace_back(ImageShape{size.height, size.width, options.channels});
  }
  if (codes.count != std::ssize(sizes) || std::ssize(codes.values) != codes.count * codes.height * codes.width)
    fail("tokenizer: {} codes for {} pictures of {}x{} codes", codes.values.size(), sizes.size(), codes.height,
         codes.width);
  const std::int64_t each = codes.count == 0 ? 1 : pictures_at_once(codes.height * codes.width);
  for (std::int64_t begin = 0; begin < codes.count; begin += each) {
    const std::int64_t count = std::min(each, codes.count - begin);
    for_each_window(codes.height, codes.width, [&](const Window& window) {
      store_window(decode_window(codes, begin, count, window), window,
                   std::span(pictures).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)));
    });
  }
  return pictures;
}
template std::vector<Image> Tokenizer::decode(const Codes&, std::span<const PictureSize>) const;
template std::vector<Image16> Tokenizer::decode(const Codes&, std::span<const PictureSize>) const;

}  // namespace gesso
