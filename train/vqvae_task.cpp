#include "train/vqvae_task.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/loss.h"
#include "train/comparison.h"
#include "train/statistics_cache.h"

namespace gesso {

Tensor normalise_images(const Tensor& images) {
  return ops::cast(images, {.to = DType::f32, .scale = 1.0 / full_range(images.dtype()), .shift = -0.5});
}

std::vector<Image> pictures_of(const Tensor& x) {
  const std::vector<float> values = x.to_host<float>();
  const ImageShape shape{x.dim(1), x.dim(2), x.dim(3)};
  std::vector<Image> pictures(static_cast<std::size_t>(x.dim(0)), Image(shape));
  const auto pixels = static_cast<std::size_t>(shape.count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float scaled = std::clamp(values[i] + 0.5f, 0.0f, 1.0f) * 255.0f;  // clamped before the cast
    pictures[i / pixels].pixels[i % pixels] = static_cast<std::uint8_t>(std::lround(scaled));
  }
  return pictures;
}

VqvaeTask::VqvaeTask(const VqvaeTaskOptions& options, Device& device)
    : options_(options),
      model_(nn::Scope(store_), options.model),
      pixels_(store_.declare("data.pixels", {.shape = {2}, .kind = nn::ParamKind::state})),
      recent_(options.model.quantizer.codes) {
  store_.materialize(device, options.seed);
  model_.quantizer.start();
}

void VqvaeTask::measure(const Dataset& train_data) {
  const PixelStatistics found = cached_pixel_statistics(train_data);
  if (!(found.variance > 0))
    fail(ErrorKind::data, "{}: all training pixels are equal (mean {}), so there is nothing to learn",
         train_data.name(), found.mean);
  const float values[] = {static_cast<float>(found.mean), static_cast<float>(found.variance)};
  pixels_.tensor().copy_from_host(std::as_bytes(std::span(values)));
}

// Always what the state says, so that a resumed run divides by the very same number.
double VqvaeTask::pixel_variance() {
  if (pixel_variance_ == 0) pixel_variance_ = static_cast<double>(pixels_.tensor().to_host<float>()[1]);
  return pixel_variance_;
}

void VqvaeTask::start(const nn::Context& context, const Tensor& images) {
  if (!options_.start_from_data) return;
  const NoGrad constants;
  const Tensor z = model_.encoder(context, normalise_images(images));
  model_.quantizer.start_from(z, context.key(Purpose::init, "quantizer.start"));
}

std::vector<Term> VqvaeTask::losses(const nn::Context& context, const Tensor& images) {
  const Tensor x = normalise_images(images);
  const models::VqvaeResult result = model_(context, x);
  const Tensor mse = ops::mse(result.reconstruction, x);
  const Tensor nmse = ops::cast(mse, {.to = DType::f32, .scale = 1.0 / pixel_variance()});
  codes_.push_back(result.quantized.index);
  return {{"loss", ops::add(nmse, result.quantized.loss)}, {"nmse", nmse}, {"vq", result.quantized.loss}};
}

std::vector<Metric> VqvaeTask::statistics() {
  for (const Tensor& codes : codes_) recent_.add(codes.to_host<std::int32_t>());
  codes_.clear();
  return {{"usage", recent_.usage()}, {"perplexity", recent_.perplexity()}};
}

std::vector<Image> VqvaeTask::reconstruct(const nn::Context& context, const Tensor& images) {
  const NoGrad constants;
  return pictures_of(model_(context, normalise_images(images)).reconstruction);
}

std::vector<Metric> VqvaeTask::evaluate(const nn::Context& context, const Dataset& data, std::int64_t batch) {
  const NoGrad constants;
  CodeUsage usage(options_.model.quantizer.codes, CodeUsage::kAll);
  const auto image_bytes = static_cast<std::size_t>(data.image_shape().count());
  double squares = 0, byte_error = 0, similarity = 0;  // sums: over pixels, over images, over images
  for (std::int64_t begin = 0; begin < data.size(); begin += batch) {
    const Tensor images = read_images(data, begin, std::min(batch, data.size() - begin), context.device);
    const Tensor x = normalise_images(images);
    const models::VqvaeResult result = model_(context, x);
    usage.add(result.quantized.index.to_host<std::int32_t>());
    const std::vector<float> wanted = x.to_host<float>(), made = result.reconstruction.to_host<float>();
    for (std::size_t i = 0; i < made.size(); ++i)
      squares += std::pow(static_cast<double>(made[i]) - static_cast<double>(wanted[i]), 2);
    const std::vector<Image> before = pictures_of(x), after = pictures_of(result.reconstruction);
    for (std::size_t i = 0; i < before.size(); ++i) {
      byte_error += mean_squared_error(before[i].pixels, after[i].pixels);
      similarity += ssim(before[i].pixels, after[i].pixels, before[i].shape).value;
    }
  }
  const auto count = static_cast<double>(data.size());
  const double mse = squares / (count * static_cast<double>(image_bytes));
  const models::VqvaeOptions& model = options_.model;
  const double code_bits = static_cast<double>(model.code_height() * model.code_width()) *
                           std::log2(static_cast<double>(model.quantizer.codes));
  return {{"images", count},
          {"nmse", mse / pixel_variance()},
          {"mse", mse},
          {"psnr", psnr(byte_error / count)},
          {"ssim", similarity / count},
          {"usage", usage.usage()},
          {"perplexity", usage.perplexity()},
          {"code_bits_per_dim", code_bits / static_cast<double>(image_bytes)}};
}

}  // namespace gesso
