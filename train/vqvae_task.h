// Training a VQ-VAE: pixels scaled to [-0.5, 0.5], loss = reconstruction error / variance of the training pixels +
// codebook terms.
#pragma once

#include <cstdint>
#include <vector>

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
  static constexpr std::int64_t kRecentCodes = 65'536;  // usage over so many compares between batch sizes

  VqvaeTask(const VqvaeTaskOptions& options, Device& device);

  const nn::ParamStore& store() const override { return store_; }
  const models::Vqvae& vqvae() const override { return model_; }
  void measure(const Dataset& train_data) override;
  void start(const nn::Context& context, const Tensor& images, std::int64_t at_once) override;
  std::vector<Term> losses(const nn::Context& context, const Tensor& images) override;
  void after_step(std::int64_t step) override;
  std::vector<Metric> statistics() override;
  std::vector<std::int64_t> code_counts() override;
  Tensor recent_codes() const override { return recent_codes_; }
  std::vector<Image> reconstruct(const nn::Context& context, const Tensor& images) override;
  // images nmse mse psnr ssim usage perplexity code_bits_per_dim. mse in units of the full range, nmse over the
  // variance of the training pixels; psnr and ssim of the images rounded to the bits that they are stored in, psnr of
  // their mean error, ssim their mean; usage in [0,1], perplexity 2^entropy of all codes together. code_bits_per_dim:
  // h w log2 K / (H W C), the bits that an image's codes take when each is stored as a number below K, over the values
  // of the image; no entropy coder and no prior are assumed (with log2 perplexity in place of log2 K it would be what
  // coding each code by its frequency takes). It is the rate alone: the 4.67 bits/dim of the VQ-VAE paper (CIFAR-10)
  // are a bound on the likelihood of the pixels, which a squared error does not give.
  std::vector<Metric> evaluate(const nn::Context& context, const Dataset& data, std::int64_t batch) override;

 private:
  double pixel_variance();
  CodeUsage recent_usage() const;

  VqvaeTaskOptions options_;
  nn::ParamStore store_;
  models::Vqvae model_;
  nn::Param pixels_;           // [2] mean and variance of the training pixels, of the full range
  double pixel_variance_ = 0;  // pixels_[1], once it was read
  Tensors codes_;              // [N h w] i32, of each micro-batch of the last step
  Tensor recent_codes_;        // [kRecentCodes] i32 of the last steps, a ring; -1: none yet
};

}  // namespace gesso
