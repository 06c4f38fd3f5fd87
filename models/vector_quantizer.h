// Vector quantisation (van den Oord, Vinyals and Kavukcuoglu 2017, "Neural Discrete Representation Learning", section
// 3).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "nn/context.h"
#include "nn/param_store.h"
#include "ops/nearest_code.h"

namespace gesso::models {

// gradient: the codebook follows the loss |sg(z) - e|^2 (eq. 3). ema: it follows the mean of the vectors that chose
// each code (appendix A.1).
enum class CodebookUpdate : std::uint8_t { gradient, ema };

struct QuantizerOptions {
  std::int64_t codes = 512, width = 64;  // K, D
  CodebookUpdate update = CodebookUpdate::ema;
  double beta = 0.25;               // weight of |z - sg(e)|^2, on the encoder's side
  double decay = 0.99, eps = 1e-5;  // ema
  double revive_below = 0;  // ema: a code whose average count falls below is set to a vector of the batch; 0: never
};

struct Quantized {
  Tensor q;       // [N,h,w,D], the codes' vectors; the gradient passes straight through to z
  Tensor index;   // [N*h*w] i32
  Tensor counts;  // [K], how many vectors chose each code
  Tensor loss;    // [], codebook and commitment terms: means over all elements
};

class VectorQuantizer {
 public:
  VectorQuantizer(const nn::Scope& scope, const QuantizerOptions& options);

  // z: [N,h,w,D]; throws on another width. With ema, and while training, announces the codebook's update to the
  // context.
  Quantized operator()(const nn::Context& context, const Tensor& z) const;
  // index: [...] i32 in [0, K) -> [...,D], the codes' vectors
  Tensor lookup(const Tensor& index) const;
  // What must hold before the first step: with ema, every code counts as chosen once by its own vector (n = 1, m = e),
  // so that neither used nor unused codes jump at the first update.
  void start() const;
  // Instead of start(): starts the codebook from data: K different vectors of z [N,h,w,D], drawn with the key; where
  // there are fewer than K, each again with a little noise, so that no two codes are equal. Not differentiable, and not
  // part of a step.
  void start_from(const Tensor& z, std::uint64_t key) const;
  const QuantizerOptions& options() const { return options_; }
  const Tensor& codebook() const { return codebook_; }  // [K,D]

 private:
  void announce_update(const nn::Context& context, const Tensor& flat, const ops::NearestCode& nearest) const;

  std::string path_;
  QuantizerOptions options_;
  nn::Param codebook_;                      // e [K,D]
  std::optional<nn::Param> counts_, sums_;  // ema: n [K], m [K,D]
};

}  // namespace gesso::models
