// Training a VQ-VAE: pixels scaled to [-0.5, 0.5], loss = reconstruction error / variance of the training pixels +
// codebook terms.
#pragma once

#include <memory>

#include "models/vqvae.h"
#include "train/metrics.h"
#include "train/task.h"

namespace gesso {

struct VqvaeTaskOptions {
  models::VqvaeOptions model;
  bool start_from_data = true;  // the codebook's vectors are encoded images at step 0
  std::uint64_t seed = 1;
};

class VqvaeTask final : public Task {
 public:
  VqvaeTask(const VqvaeTaskOptions& options, Device& device);

  const nn::ParamStore& store() const override { return store_; }
  void measure(const Dataset& train_data) override;
  void start(const nn::Context& context, const Tensor& images) override;
  std::vector<Term> losses(const nn::Context& context, const Tensor& images) override;
  std::vector<Metric> statistics() override;
  std::vector<Image> reconstruct(const nn::Context& context, const Tensor& images) override;
  // images nmse mse psnr ssim usage perplexity code_bits_per_dim. mse in units of the full range, nmse over the
  // variance of the training pixels; psnr and ssim of the images rounded to 8 bits, psnr of their mean error, ssim
  // their mean; usage in [0,1].
  std::vector<Metric> evaluate(const nn::Context& context, const Dataset& data, std::int64_t batch) override;

 private:
  double pixel_variance();

  VqvaeTaskOptions options_;
  nn::ParamStore store_;
  models::Vqvae model_;
  nn::Param pixels_;           // [2] mean and variance of the training pixels, of the full range
  double pixel_variance_ = 0;  // pixels_[1], once it was read
  CodeUsage recent_;           // over a fixed window of codes
  Tensors codes_;              // [N h w] i32 each: of the steps since statistics() was asked last
};

// [N,H,W,C] u8 or u16 -> f32 in [-0.5, 0.5], and back to pictures: rounded, clamped first.
Tensor normalise_images(const Tensor& images);
std::vector<Image> pictures_of(const Tensor& x);

}  // namespace gesso
