// A model's own metrics against an independent computation: the model in double on the reference device, image by
// image, and every key by its definition.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "core/tape.h"
#include "nn/optimizer.h"
#include "tests/brute_force_ssim.h"
#include "tests/pattern_dataset.h"
#include "train/comparison.h"
#include "train/tokenizer.h"
#include "train/vqvae_task.h"

namespace gesso {
namespace {

using models::VqvaeOptions;

struct EvaluatedCase {
  ImageShape shape;
  DType dtype;
};

VqvaeOptions options_for(const ImageShape& shape) {
  VqvaeOptions options{.height = shape.height,
                       .width = shape.width,
                       .channels = shape.channels,
                       .hidden = 8,
                       .residual_hidden = 4,
                       .residual_blocks = 1,
                       .padding = models::ImagePadding::edge};
  options.quantizer = {.codes = 16, .width = 4};
  return options;
}

// Some steps on all of the data; returns the loss of each.
std::vector<float> train_a_little(VqvaeTask& task, const Dataset& data, int steps) {
  Device& cpu = device(DeviceKind::cpu);
  task.measure(data);
  nn::Optimizer optimizer(task.store(), {.kind = nn::OptimizerKind::adam});
  const nn::StepState state(cpu);
  nn::StateUpdates updates;
  const nn::Context context{.device = cpu, .mode = nn::Mode::train, .state = state, .updates = updates, .seed = 1};
  const Tensor images = read_images(data, 0, data.size(), cpu);
  std::vector<float> losses;
  for (int step = 0; step < steps; ++step) {
    state.set(step, 5e-3);
    if (step == 0) task.start(context, images, data.size());
    Tape tape;
    task.store().watch(tape);
    const std::vector<Term> terms = task.losses(context, images);
    tape.backward(terms.front().value);
    optimizer.step(context);
    losses.push_back(terms.front().value.to_host<float>()[0]);
  }
  return losses;
}

// The same model in double on the reference device.
struct DoubleModel {
  Device& where = device(DeviceKind::reference);
  nn::ParamStore store;
  models::Vqvae model;
  nn::StepState state{where};
  nn::StateUpdates updates;

  DoubleModel(const VqvaeOptions& options, const nn::ParamStore& from) : model(nn::Scope(store), options) {
    store.materialize(where, 1, DType::f64);
    for (const nn::Param& param : store.params()) {
      const std::vector<float> narrow = from.named(param.name()).tensor().to_host<float>();
      const std::vector<double> wide(narrow.begin(), narrow.end());
      param.tensor().copy_from_host(std::as_bytes(std::span(wide)));
    }
  }
  models::VqvaeResult operator()(const std::vector<double>& image, const Shape& shape) {
    const NoGrad constants;
    std::vector<double> x(image.size());
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = image[i] - 0.5;
    return model({.device = where, .state = state, .updates = updates},
                 Tensor::from_host(std::span<const double>(x), shape, where));
  }
};

std::map<std::string, double> by_definition(const VqvaeOptions& options, const nn::ParamStore& weights,
                                            const PatternDataset& train, const PatternDataset& test) {
  const ImageShape s = test.image_shape();
  const double white = full_range(test.dtype()), values = static_cast<double>(s.count());
  const auto image_of = [&](const PatternDataset& data, std::int64_t n) {
    std::vector<double> image;
    for (std::int64_t i = 0; i < s.count(); ++i)
      image.push_back(data.stored(n, i / s.channels / s.width, i / s.channels % s.width, i % s.channels) / white);
    return image;
  };
  double mean = 0, variance = 0;
  for (std::int64_t n = 0; n < train.size(); ++n)
    for (double v : image_of(train, n)) mean += v / (values * static_cast<double>(train.size()));
  for (std::int64_t n = 0; n < train.size(); ++n)
    for (double v : image_of(train, n))
      variance += (v - mean) * (v - mean) / (values * static_cast<double>(train.size()));

  DoubleModel model(options, weights);
  std::map<std::int32_t, double> uses;
  double error = 0, rounded_error = 0, similarity = 0, codes = 0;
  for (std::int64_t n = 0; n < test.size(); ++n) {
    const std::vector<double> image = image_of(test, n);
    const models::VqvaeResult result = model(image, {1, s.height, s.width, s.channels});
    for (const std::int32_t code : result.quantized.index.to_host<std::int32_t>()) {
      uses[code] += 1;
      codes += 1;
    }
    std::vector<double> rounded;
    for (const double v : result.reconstruction.to_host<double>()) {
      error += std::pow(v + 0.5 - image[rounded.size()], 2);
      rounded.push_back(std::round(std::clamp(v + 0.5, 0.0, 1.0) * white) / white);
      rounded_error += std::pow(rounded.back() - image[rounded.size() - 1], 2);
    }
    const auto fits = static_cast<int>(std::min<std::int64_t>({11, s.height, s.width}));
    similarity += brute_force_ssim(image, rounded, s, fits % 2 == 1 ? fits : fits - 1);
  }
  double entropy = 0;
  for (const auto& [code, count] : uses) entropy -= count / codes * std::log(count / codes);
  const double all = values * static_cast<double>(test.size());
  return {{"images", static_cast<double>(test.size())},
          {"nmse", error / all / variance},
          {"mse", error / all},
          {"psnr", 10 * std::log10(1 / (rounded_error / all))},
          {"ssim", similarity / static_cast<double>(test.size())},
          {"usage", static_cast<double>(uses.size()) / 16},
          {"perplexity", std::exp(entropy)},
          {"code_bits_per_dim", codes / static_cast<double>(test.size()) * 4 / values}};  // 16 codes: 4 bits each
}

TEST_SUITE("evaluate") {
  TEST_CASE("every key of an evaluation is what its definition gives, for any channels, bits, sides and batch") {
    for (const EvaluatedCase& c : {EvaluatedCase{{16, 16, 1}, DType::u8}, EvaluatedCase{{8, 12, 2}, DType::u8},
                                   EvaluatedCase{{9, 14, 3}, DType::u16}, EvaluatedCase{{13, 11, 5}, DType::u8},
                                   EvaluatedCase{{8, 8, 5}, DType::u16}}) {
      INFO(c.shape.text(), " ", name_of(c.dtype));
      const PatternDataset train(c.shape, 8, c.dtype), test(c.shape, 5, c.dtype);
      const VqvaeOptions options = options_for(c.shape);
      Device& cpu = device(DeviceKind::cpu);
      VqvaeTask task({.model = options}, cpu);
      const std::vector<float> losses = train_a_little(task, train, 12);
      CHECK(losses.back() < losses.front());
      const std::map<std::string, double> want = by_definition(options, task.store(), train, test);
      const nn::StepState state(cpu);
      nn::StateUpdates unused;
      for (const std::int64_t batch : {1, 2, 64}) {
        const std::vector<Metric> got = task.evaluate({.device = cpu, .state = state, .updates = unused}, test, batch);
        CHECK(got.size() == want.size());
        for (const Metric& metric : got) {
          INFO(metric.name);
          CHECK(metric.value == doctest::Approx(want.at(metric.name)).epsilon(2e-4));
        }
      }
    }
  }

  TEST_CASE("images of 2 and 5 channels pass through codes, and are shown as grey and as their first three") {
    for (const std::int64_t channels : {2, 5}) {
      const PatternDataset data({8, 8, channels}, 6);
      VqvaeTask task({.model = options_for(data.image_shape())}, device(DeviceKind::cpu));
      train_a_little(task, data, 3);
      const Tokenizer tokenizer(task.vqvae(), task.store());
      std::vector<Image> pictures;
      for (std::int64_t i = 0; i < 6; ++i) pictures.push_back(data.image(i));
      const std::vector<PictureSize> sizes(6, {8, 8});
      const Codes codes = tokenizer.encode(std::span<const Image>(pictures));
      const std::vector<Image> made = tokenizer.decode<std::uint8_t>(codes, sizes);
      CHECK(made[5].shape == data.image_shape());
      const Image grid = comparison_grid(pictures, made);
      CHECK(grid.shape.channels == (channels == 2 ? 1 : 3));
      // Six columns of 8x8 pixels, 12 times as large, 2 pixels between: the last pixel of the sixth reconstruction.
      const std::size_t at = static_cast<std::size_t>((98 + 97) * grid.shape.width + 5 * 98 + 97);
      for (std::int64_t c = 0; c < grid.shape.channels; ++c)
        CHECK(grid.pixels[at * static_cast<std::size_t>(grid.shape.channels) + static_cast<std::size_t>(c)] ==
              made[5].pixels[static_cast<std::size_t>(63 * channels + c)]);
    }
  }
}

}  // namespace
}  // namespace gesso
