#include "models/vector_quantizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/profiler.h"
#include "core/rng.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/codebook_update.h"
#include "ops/embedding.h"
#include "ops/loss.h"
#include "ops/nearest_code.h"
#include "ops/reshape.h"
#include "ops/straight_through.h"

namespace gesso::models {
namespace {

nn::ParamSpec codebook_spec(const QuantizerOptions& options) {
  // U(-sqrt(3/D), sqrt(3/D)): sonnet's variance scaling, so that a code's vector starts with unit variance times 1/D a
  // component.
  return {.shape = {options.codes, options.width},
          .init = {.kind = nn::InitKind::uniform, .scale = std::sqrt(3.0 / static_cast<double>(options.width))},
          .kind = options.update == CodebookUpdate::ema ? nn::ParamKind::state : nn::ParamKind::trained};
}

// Which vector each code starts from: the first K of a keyed order of N. Sorted by drawn words: ties by index.
std::vector<std::size_t> draw_rows(std::size_t vectors, std::size_t codes, std::uint64_t key) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order(vectors);
  for (std::size_t i = 0; i < vectors; ++i) {
    const Words words = random_words(key, 0, i, 0);
    order[i] = {std::uint64_t{words.word[0]} << 32 | words.word[1], i};
  }
  std::ranges::sort(order);
  std::vector<std::size_t> rows(codes);
  for (std::size_t k = 0; k < codes; ++k) rows[k] = order[k % vectors].second;
  return rows;
}

}  // namespace

VectorQuantizer::VectorQuantizer(const nn::Scope& scope, const QuantizerOptions& options)
    : path_(scope.path()), options_(options), codebook_(scope.declare("codebook", codebook_spec(options))) {
  if (options.codes < 1 || options.width < 1)
    fail("quantizer: model.codes {} and model.code_width {} must be positive", options.codes, options.width);
  if (!(options.beta >= 0)) fail("quantizer: model.beta must not be negative, but is {}", options.beta);
  if (!(options.decay > 0 && options.decay < 1))
    fail("quantizer: model.decay must lie between 0 and 1, but is {}", options.decay);
  if (options.revive_below > 0 && options.update == CodebookUpdate::gradient)
    fail("quantizer: model.revive_below {} needs the counts of model.codebook 'ema', but it is 'gradient'",
         options.revive_below);
  if (options.update == CodebookUpdate::gradient) return;
  counts_ = scope.declare(
      "ema_count", {.shape = {options.codes}, .init = {.kind = nn::InitKind::ones}, .kind = nn::ParamKind::state});
  sums_ = scope.declare("ema_sum", {.shape = {options.codes, options.width}, .kind = nn::ParamKind::state});
}

Tensor VectorQuantizer::lookup(const Tensor& index) const { return ops::embedding(codebook_, index); }

Quantized VectorQuantizer::operator()(const nn::Context& context, const Tensor& z) const {
  const ProfileRange range(RangeKind::module, path_);
  if (z.shape().rank() != 4 || z.dim(-1) != options_.width)
    fail("quantizer: z must be [N,h,w,{}], but is {}", options_.width, z.spec().text());
  const Tensor flat = ops::reshape(z, {-1, options_.width});  // [N h w, D]
  const ops::NearestCode nearest = ops::nearest_code(ops::stop_gradient(flat), codebook_);
  const Tensor e = lookup(nearest.index);  // [N h w, D]

  Quantized out{.q = {}, .index = nearest.index, .counts = nearest.counts, .loss = {}};
  const Tensor commitment = ops::mse(flat, ops::stop_gradient(e));
  out.loss = ops::cast(commitment, {.to = z.dtype(), .scale = options_.beta});
  if (options_.update == CodebookUpdate::gradient)
    out.loss = ops::add(out.loss, ops::mse(e, ops::stop_gradient(flat)));
  else if (context.training())
    announce_update(context, ops::stop_gradient(flat), nearest);
  out.q = ops::reshape(ops::straight_through(flat, e), z.shape());
  return out;
}

void VectorQuantizer::announce_update(const nn::Context& context, const Tensor& flat,
                                      const ops::NearestCode& nearest) const {
  const ops::CodebookUpdateAttrs attrs{.decay = static_cast<float>(options_.decay),
                                       .eps = static_cast<float>(options_.eps),
                                       .revival_threshold = static_cast<float>(options_.revive_below),
                                       .key = context.key(Purpose::revival, path_)};
  const ops::CodebookState state{.codebook = codebook_, .counts = *counts_, .sums = *sums_};
  using nn::StateUpdates;
  std::vector<StateUpdates::Taken> taken = {{nearest.counts}, {nearest.sums}};
  if (options_.revive_below > 0) taken.push_back({flat, StateUpdates::Join::rows});
  const auto update = [=, step = context.state.step](std::span<const Tensor> all, const Tensor& gate) {
    const Tensor candidates = all.size() > 2 ? all[2] : Tensor();
    ops::codebook_update(state, all[0], all[1], candidates, step, gate, attrs);
  };
  context.updates.announce(codebook_, update, taken);
}

void VectorQuantizer::start() const {
  if (sums_) sums_->tensor().copy_from(codebook_);
}

void VectorQuantizer::start_from(const Tensor& z, std::uint64_t key) const {
  if (!z.device().computes()) return;
  const auto width = static_cast<std::size_t>(options_.width), codes = static_cast<std::size_t>(options_.codes);
  const std::vector<float> values = z.to_host<float>();
  const std::size_t vectors = values.size() / width;
  if (vectors == 0) fail("quantizer: the codebook cannot start from no vectors (z {})", z.spec().text());
  double square = 0;
  for (float v : values) square += static_cast<double>(v) * static_cast<double>(v);
  const auto spread = static_cast<float>(0.01 * std::sqrt(square / static_cast<double>(values.size())));

  const std::vector<std::size_t> rows = draw_rows(vectors, codes, key);
  std::vector<float> start_values(codes * width);
  for (std::size_t k = 0; k < codes; ++k)
    for (std::size_t d = 0; d < width; ++d) {
      const Normals noise = normals(random_words(key, 1, k, static_cast<std::uint32_t>(d / 4)));
      start_values[k * width + d] = values[rows[k] * width + d] + (k < vectors ? 0.0f : spread * noise.value[d % 4]);
    }
  codebook_.tensor().copy_from_host(std::as_bytes(std::span(start_values)));
  start();
}

}  // namespace gesso::models
