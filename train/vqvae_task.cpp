#include "train/vqvae_task.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/memory_use.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/concat.h"
#include "ops/loss.h"
#include "train/comparison.h"
#include "train/pixel_range.h"
#include "train/statistics_cache.h"

namespace gesso {

namespace {

// Of images rounded to the bits that they are stored in; sums over images.
struct Likeness {
  double error = 0, similarity = 0;

  template <class T>
  void add(const Tensor& wanted, const Tensor& made) {
    const std::vector<BasicImage<T>> before = pictures_of<T>(wanted), after = pictures_of<T>(made);
    for (std::size_t i = 0; i < before.size(); ++i) {
      const std::span<const T> a(before[i].pixels), b(after[i].pixels);
      error += mean_squared_error(a, b);
      similarity += ssim(a, b, before[i].shape).value;
    }
  }
};

}  // namespace

VqvaeTask::VqvaeTask(const VqvaeTaskOptions& options, Device& device)
    : options_(options),
      model_(nn::Scope(store_), options.model),
      pixels_(store_.declare("data.pixels", {.shape = {2}, .kind = nn::ParamKind::state})) {
  store_.materialize(device, options.seed);
  model_.quantizer.start();
  const MemoryUse use("recent codes", "");
  recent_codes_ = Tensor({{kRecentCodes}, DType::i32}, device);
  const std::vector<std::int32_t> none(static_cast<std::size_t>(kRecentCodes), -1);
  recent_codes_.copy_from_host(std::as_bytes(std::span(none)));
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

void VqvaeTask::start(const nn::Context& context, const Tensor& images, std::int64_t at_once) {
  if (!options_.start_from_data) return;
  const NoGrad constants;
  Tensors z;  // [n,h,w,D]
  for (std::int64_t begin = 0; begin < images.dim(0); begin += at_once) {
    const Tensor some = images.slice(begin, std::min(begin + at_once, images.dim(0)));
    z.push_back(model_.encoder(context.part(begin, context.updates), normalise_images(some)));
  }
  model_.quantizer.start_from(ops::concat_all(std::move(z), 0), context.key(Purpose::init, "quantizer.start"));
}

std::vector<Term> VqvaeTask::losses(const nn::Context& context, const Tensor& images) {
  const Tensor x = normalise_images(images);
  const models::VqvaeResult result = model_(context, x);
  const Tensor mse = ops::mse(result.reconstruction, x);
  const Tensor nmse = ops::cast(mse, {.to = DType::f32, .scale = 1.0 / pixel_variance()});
  if (context.first_sample == 0) codes_.clear();
  codes_.push_back(result.quantized.index);
  return {{"loss", ops::add(nmse, result.quantized.loss)}, {"nmse", nmse}, {"vq", result.quantized.loss}};
}

// Where they go follows from the step alone, so that a resumed run goes on in the ring where it stopped.
void VqvaeTask::after_step(std::int64_t step) {
  const std::int64_t codes = codes_.front().count(), kept = std::min(codes, kRecentCodes);
  const std::int64_t of_a_step = kept * std::ssize(codes_) % kRecentCodes;
  std::int64_t at = step % kRecentCodes * of_a_step % kRecentCodes;
  for (const Tensor& all : codes_) {
    const Tensor last = all.view({codes}).slice(codes - kept, codes);
    const std::int64_t before_end = std::min(kept, kRecentCodes - at);
    recent_codes_.slice(at, at + before_end).copy_from(last.slice(0, before_end));
    if (before_end < kept) recent_codes_.slice(0, kept - before_end).copy_from(last.slice(before_end, kept));
    at = (at + kept) % kRecentCodes;
  }
}

CodeUsage VqvaeTask::recent_usage() const {
  const std::int64_t codebook = options_.model.quantizer.codes;
  std::vector<std::int32_t> codes = recent_codes_.to_host<std::int32_t>();
  // -1 stands where none came yet; what a checkpoint brings may hold anything.
  std::erase_if(codes, [&](std::int32_t code) { return code < 0 || code >= codebook; });
  CodeUsage usage(codebook);
  usage.add(codes);
  return usage;
}

std::vector<Metric> VqvaeTask::statistics() {
  const CodeUsage usage = recent_usage();
  return {{"usage", usage.usage()}, {"perplexity", usage.perplexity()}};
}

std::vector<std::int64_t> VqvaeTask::code_counts() { return recent_usage().counts(); }

std::vector<Image> VqvaeTask::reconstruct(const nn::Context& context, const Tensor& images) {
  const NoGrad constants;
  return pictures_of<std::uint8_t>(model_(context, normalise_images(images)).reconstruction);
}

std::vector<Metric> VqvaeTask::evaluate(const nn::Context& context, const Dataset& data, std::int64_t batch) {
  const NoGrad constants;
  CodeUsage usage(options_.model.quantizer.codes);
  double squares = 0;  // over all values
  Likeness likeness;
  for (std::int64_t begin = 0; begin < data.size(); begin += batch) {
    const Tensor images = read_images(data, begin, std::min(batch, data.size() - begin), context.device);
    const Tensor x = normalise_images(images);
    const models::VqvaeResult result = model_(context, x);
    usage.add(result.quantized.index.to_host<std::int32_t>());
    const std::vector<float> wanted = x.to_host<float>(), made = result.reconstruction.to_host<float>();
    for (std::size_t i = 0; i < made.size(); ++i)
      squares += std::pow(static_cast<double>(made[i]) - static_cast<double>(wanted[i]), 2);
    if (data.dtype() == DType::u16)
      likeness.add<std::uint16_t>(x, result.reconstruction);
    else
      likeness.add<std::uint8_t>(x, result.reconstruction);
  }
  const auto count = static_cast<double>(data.size()), values = static_cast<double>(data.image_shape().count());
  const double mse = squares / (count * values);
  const models::VqvaeOptions& model = options_.model;
  const double code_bits = static_cast<double>(model.code_height() * model.code_width()) *
                           std::log2(static_cast<double>(model.quantizer.codes));
  return {{"images", count},
          {"nmse", mse / pixel_variance()},
          {"mse", mse},
          {"psnr", psnr(likeness.error / count)},
          {"ssim", likeness.similarity / count},
          {"usage", usage.usage()},
          {"perplexity", usage.perplexity()},
          {"code_bits_per_dim", code_bits / values}};
}

}  // namespace gesso
