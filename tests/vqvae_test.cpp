#include "models/vqvae.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "core/tape.h"
#include "ops/binary.h"
#include "ops/embedding.h"
#include "ops/loss.h"
#include "ops/reshape.h"
#include "tests/expect_error.h"
#include "tests/support.h"

namespace gesso {
namespace {

using models::CodebookUpdate;
using models::ImagePadding;
using models::Vqvae;
using models::VqvaeOptions;
using models::VqvaeResult;

VqvaeOptions small_options(CodebookUpdate update) {
  VqvaeOptions options{
      .height = 8, .width = 12, .channels = 2, .hidden = 6, .residual_hidden = 3, .residual_blocks = 2};
  options.quantizer = {.codes = 7, .width = 4, .update = update, .beta = 0.25};
  return options;
}

// A model with its own store, parameters and context on one device.
struct Fixture {
  Device& where;
  nn::ParamStore store;
  Vqvae model;
  nn::StepState state;
  nn::StateUpdates updates;

  Fixture(DeviceKind kind, DType dtype, const VqvaeOptions& options)
      : where(device(kind)), model(nn::Scope(store), options), state(where) {
    store.materialize(where, 3, dtype);
    model.quantizer.start();
  }
  nn::Context context(nn::Mode mode = nn::Mode::evaluate) {
    return {.device = where, .mode = mode, .state = state, .updates = updates, .seed = 3};
  }
};

Tensor random_images(const VqvaeOptions& options, std::int64_t count, DType dtype, Device& where, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Shape shape = {count, options.height, options.width, options.channels};
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& v : values) v = static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-53 - 0.5);
  if (dtype == DType::f64) return Tensor::from_host(std::span<const double>(values), shape, where);
  const std::vector<float> narrow(values.begin(), values.end());
  return Tensor::from_host(std::span<const float>(narrow), shape, where);
}

double scalar(const Tensor& t) {
  return t.dtype() == DType::f64 ? t.to_host<double>()[0] : static_cast<double>(t.to_host<float>()[0]);
}

Tensor loss_of(const VqvaeResult& result, const Tensor& x) {
  return ops::add(ops::mse(result.reconstruction, x), result.quantized.loss);
}

std::vector<double> gradients(Fixture& f, const Tensor& x, double& loss) {
  Tape tape;
  f.store.watch(tape);
  const Tensor value = loss_of(f.model(f.context(), x), x);
  loss = scalar(value);
  tape.backward(value);
  const Tensor& arena = f.store.gradients();
  if (arena.dtype() == DType::f64) return arena.to_host<double>();
  const std::vector<float> narrow = arena.to_host<float>();
  return {narrow.begin(), narrow.end()};
}

ops::PadMode mode_of(ImagePadding padding) {
  return padding == ImagePadding::zero ? ops::PadMode::zero : ops::PadMode::edge;
}

// What the gradients are the derivative of: indices and stopped values held as they were at the start.
struct FrozenLoss {
  Fixture& f;
  Tensor x, padded, z0, e0, index;

  FrozenLoss(Fixture& fixture, const Tensor& images) : f(fixture), x(images) {
    const NoGrad constants;
    const VqvaeOptions& options = f.model.options();
    padded = models::pad_to_factor(x, options.factor(), mode_of(options.padding));
    z0 = ops::reshape(f.model.encoder(f.context(), padded), {-1, options.quantizer.width});
    index = f.model.quantizer(f.context(), f.model.encoder(f.context(), padded)).index;
    const Tensor e = f.model.quantizer.lookup(index);
    e0 = Tensor(e.spec(), f.where);
    e0.copy_from(e);
  }
  double operator()() const {
    const NoGrad constants;
    const models::QuantizerOptions& options = f.model.options().quantizer;
    const Tensor z = f.model.encoder(f.context(), padded);
    const Tensor flat = ops::reshape(z, {-1, options.width});
    const Tensor q = ops::add(flat, ops::sub(e0, z0));
    const Tensor y = f.model.decoder(f.context(), ops::reshape(q, z.shape()));
    double loss = scalar(ops::mse(models::crop(y, x.dim(1), x.dim(2)), x));
    loss += options.beta * scalar(ops::mse(flat, e0));
    if (options.update == CodebookUpdate::gradient) loss += scalar(ops::mse(f.model.quantizer.lookup(index), z0));
    return loss;
  }
};

void gradient_check(const VqvaeOptions& options) {
  const std::uint64_t seed = test_seed();
  Fixture f(DeviceKind::reference, DType::f64, options);
  // Biases start as 0: where an image is padded with 0, relu would stand on its kink.
  const auto weights = f.store.weights().data<double>();
  std::mt19937_64 random(seed);
  for (double& w : weights) w += static_cast<double>(random() >> 11) * 0x1p-53 * 0.02;
  const Tensor x = random_images(options, 2, DType::f64, f.where, seed);
  const FrozenLoss frozen(f, x);
  double loss = 0;
  const std::vector<double> gradient = gradients(f, x, loss);
  CHECK(loss == doctest::Approx(frozen()).epsilon(1e-12));

  for (const nn::Param& param : f.store.params()) {
    if (param.spec().kind != nn::ParamKind::trained) continue;
    const auto begin = static_cast<std::size_t>(param.offset());
    const auto count = static_cast<std::size_t>(param.spec().shape.count());
    std::vector<double> direction(count), before(count);
    for (double& v : direction) v = static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
    double given = 0, slope = 0;
    for (std::size_t i = 0; i < count; ++i) {
      given += gradient[begin + i] * direction[i];
      before[i] = weights[begin + i];
    }
    constexpr double kStep = 1e-6;
    for (const double side : {kStep, -kStep}) {
      for (std::size_t i = 0; i < count; ++i) weights[begin + i] = before[i] + side * direction[i];
      slope += frozen() / (2 * side);
    }
    for (std::size_t i = 0; i < count; ++i) weights[begin + i] = before[i];
    INFO(param.name());
    CHECK(given == doctest::Approx(slope).epsilon(1e-5).scale(1e-3));
  }
}

TEST_SUITE("vqvae") {
  TEST_CASE("a whole VQ-VAE with a codebook that follows the gradient agrees with finite differences in double") {
    gradient_check(small_options(CodebookUpdate::gradient));
  }
  TEST_CASE("a whole VQ-VAE with a moving-average codebook agrees with finite differences in double") {
    gradient_check(small_options(CodebookUpdate::ema));
  }
  TEST_CASE("so does one whose images are padded, and whose loss counts their own pixels alone") {
    for (const ImagePadding padding : {ImagePadding::edge, ImagePadding::zero}) {
      VqvaeOptions options = small_options(CodebookUpdate::gradient);
      options.height = 7;
      options.width = 9;
      options.padding = padding;
      gradient_check(options);
    }
  }

  TEST_CASE("the CPU in f32 agrees with the reference in double: loss and every gradient") {
    const std::uint64_t seed = test_seed();
    const VqvaeOptions options = small_options(CodebookUpdate::gradient);
    Fixture exact(DeviceKind::reference, DType::f64, options), fast(DeviceKind::cpu, DType::f32, options);
    double exact_loss = 0, fast_loss = 0;
    const auto want = gradients(exact, random_images(options, 3, DType::f64, exact.where, seed), exact_loss);
    const auto got = gradients(fast, random_images(options, 3, DType::f32, fast.where, seed), fast_loss);
    CHECK(fast_loss == doctest::Approx(exact_loss).epsilon(1e-5));
    double difference = 0, norm = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      difference += std::pow(got[i] - want[i], 2);
      norm += want[i] * want[i];
    }
    REQUIRE(norm > 0);
    CHECK(std::sqrt(difference / norm) < 1e-5);
  }

  TEST_CASE("the encoder's commitment gradient scales with beta, the codebook's does not") {
    const VqvaeOptions base = small_options(CodebookUpdate::gradient);
    const auto norms = [&](double beta) {
      VqvaeOptions options = base;
      options.quantizer.beta = beta;
      Fixture f(DeviceKind::reference, DType::f64, options);
      const Tensor x = random_images(options, 2, DType::f64, f.where, 11);
      Tape tape;
      f.store.watch(tape);
      const Tensor loss = f.model.quantizer(f.context(), f.model.encoder(f.context(), x)).loss;
      tape.backward(loss);
      double encoder = 0, codebook = 0;
      for (const nn::Param& param : f.store.params()) {
        double& sum = param.name() == "quantizer.codebook" ? codebook : encoder;
        for (double g : nn::ParamStore::part_of(f.store.gradients(), param).to_host<double>()) sum += g * g;
      }
      return std::pair(std::sqrt(encoder), std::sqrt(codebook));
    };
    const auto [encoder1, codebook1] = norms(0.25);
    const auto [encoder2, codebook2] = norms(0.5);
    REQUIRE(encoder1 > 0);
    REQUIRE(codebook1 > 0);
    CHECK(encoder2 / encoder1 == doctest::Approx(2).epsilon(1e-9));
    CHECK(codebook2 == doctest::Approx(codebook1).epsilon(1e-12));
  }

  TEST_CASE(
      "after the first moving-average step unused codes stay and used ones lie between their old value and their "
      "mean") {
    const VqvaeOptions options = small_options(CodebookUpdate::ema);
    Fixture f(DeviceKind::cpu, DType::f32, options);
    const Tensor x = random_images(options, 4, DType::f32, f.where, 5);
    const std::vector<float> before = f.model.quantizer.codebook().to_host<float>();
    const Tensor z = f.model.encoder(f.context(), x);
    const models::Quantized quantized = f.model.quantizer(f.context(nn::Mode::train), z);
    const std::vector<float> still = f.model.quantizer.codebook().to_host<float>();
    CHECK(still == before);  // nothing moves before the commit
    const float finite = 1;
    f.updates.commit(Tensor::from_host(std::span(&finite, 1), {1}, f.where));
    const std::vector<float> after = f.model.quantizer.codebook().to_host<float>();
    const std::vector<float> counts = quantized.counts.to_host<float>(), vectors = z.to_host<float>();
    const std::vector<std::int32_t> index = quantized.index.to_host<std::int32_t>();
    const auto width = static_cast<std::size_t>(options.quantizer.width);
    int used = 0, unused = 0;
    for (std::size_t k = 0; k < counts.size(); ++k)
      for (std::size_t d = 0; d < width; ++d) {
        const double was = static_cast<double>(before[k * width + d]), is = static_cast<double>(after[k * width + d]);
        if (counts[k] == 0) {
          ++unused;
          CHECK(is == doctest::Approx(was).epsilon(1e-4));
          continue;
        }
        ++used;
        double mean = 0;
        for (std::size_t n = 0; n < index.size(); ++n)
          if (index[n] == static_cast<std::int32_t>(k)) mean += static_cast<double>(vectors[n * width + d]);
        mean /= static_cast<double>(counts[k]);
        const double slack = 1e-4 * (std::abs(was) + std::abs(mean)) + 1e-6;
        CHECK(is >= std::min(was, mean) - slack);
        CHECK(is <= std::max(was, mean) + slack);
      }
    CHECK(used > 0);
    CHECK(unused > 0);
  }

  TEST_CASE("a step whose gradient norm is not finite leaves the codebook as it was") {
    const VqvaeOptions options = small_options(CodebookUpdate::ema);
    Fixture f(DeviceKind::cpu, DType::f32, options);
    const std::vector<float> before = f.store.state().to_host<float>();
    (void)f.model(f.context(nn::Mode::train), random_images(options, 2, DType::f32, f.where, 5));
    const float bad = NAN;
    f.updates.commit(Tensor::from_host(std::span(&bad, 1), {1}, f.where));
    CHECK(f.store.state().to_host<float>() == before);
  }

  TEST_CASE("a codebook that starts from data holds vectors of the data, and no two codes are equal") {
    const VqvaeOptions options = small_options(CodebookUpdate::ema);
    Fixture f(DeviceKind::cpu, DType::f32, options);
    const Tensor z =
        f.model.encoder(f.context(), random_images(options, 1, DType::f32, f.where, 5));  // 2x3 vectors, 7 codes
    f.model.quantizer.start_from(z, 17);
    const std::vector<float> codes = f.model.quantizer.codebook().to_host<float>(), vectors = z.to_host<float>();
    const std::size_t width = 4, count = vectors.size() / width;
    for (std::size_t k = 0; k < count; ++k) {
      bool found = false;
      for (std::size_t n = 0; n < count; ++n)
        found = found || std::equal(codes.begin() + static_cast<std::ptrdiff_t>(k * width),
                                    codes.begin() + static_cast<std::ptrdiff_t>((k + 1) * width),
                                    vectors.begin() + static_cast<std::ptrdiff_t>(n * width));
      CHECK(found);
    }
    for (std::size_t a = 0; a < 7; ++a)
      for (std::size_t b = 0; b < a; ++b)
        CHECK(!std::equal(codes.begin() + static_cast<std::ptrdiff_t>(a * width),
                          codes.begin() + static_cast<std::ptrdiff_t>((a + 1) * width),
                          codes.begin() + static_cast<std::ptrdiff_t>(b * width)));
  }

  TEST_CASE("contradictory options are refused with the value and what to do") {
    VqvaeOptions options = small_options(CodebookUpdate::ema);
    options.width = 30;
    expect_error(ErrorKind::usage, {"8x30", "divisible by 4", "model.padding=edge", "model.downsamples"},
                 [&] { options.validate(); });
    options.padding = ImagePadding::edge;
    options.validate();
    VqvaeOptions revive = small_options(CodebookUpdate::gradient);
    revive.quantizer.revive_below = 1;
    nn::ParamStore store;
    expect_error(ErrorKind::usage, {"model.revive_below", "gradient"}, [&] { Vqvae(nn::Scope(store), revive); });
  }

  TEST_CASE("an image whose sides do not divide gives what the image padded by hand gives, cut back") {
    for (const ImagePadding padding : {ImagePadding::edge, ImagePadding::zero}) {
      VqvaeOptions options = small_options(CodebookUpdate::ema);
      options.height = 5;
      options.width = 11;
      options.padding = padding;
      Fixture f(DeviceKind::cpu, DType::f32, options);
      const Tensor x = random_images(options, 2, DType::f32, f.where, 5);
      const std::vector<float> values = x.to_host<float>();
      std::vector<float> by_hand;  // [2,8,12,2]
      for (std::int64_t i = 0; i < 2 * 8 * 12 * 2; ++i) {
        const std::int64_t n = i / 192, row = i / 24 % 8, column = i / 2 % 12, channel = i % 2;
        const std::int64_t from =
            ((n * 5 + std::min<std::int64_t>(row, 4)) * 11 + std::min<std::int64_t>(column, 10)) * 2;
        const bool outside = row > 4 || column > 10;
        by_hand.push_back(outside && padding == ImagePadding::zero ? 0.0f
                                                                   : values[static_cast<std::size_t>(from + channel)]);
      }
      const VqvaeResult got = f.model(f.context(), x);
      const VqvaeResult want =
          f.model(f.context(), Tensor::from_host(std::span<const float>(by_hand), {2, 8, 12, 2}, f.where));
      CHECK(got.quantized.index.to_host<std::int32_t>() == want.quantized.index.to_host<std::int32_t>());
      REQUIRE(got.reconstruction.shape() == x.shape());
      const std::vector<float> cut = got.reconstruction.to_host<float>(), whole = want.reconstruction.to_host<float>();
      for (std::size_t i = 0; i < cut.size(); ++i) {
        const std::size_t n = i / 110, row = i / 22 % 5, rest = i % 22;
        REQUIRE(cut[i] == whole[(n * 8 + row) * 24 + rest]);
      }
    }
  }

  TEST_CASE("codes see pixels, and pixels see codes, as far as the reach says and no farther") {
    for (const std::int64_t downsamples : {1, 2, 3})
      for (const std::int64_t blocks : {0, 1, 2}) {
        VqvaeOptions options = small_options(CodebookUpdate::ema);
        options.downsamples = downsamples;
        options.residual_blocks = blocks;
        const std::int64_t factor = options.factor(), codes = 2 * options.reach() + 3, middle = codes / 2;
        options.height = factor;
        options.width = codes * factor;
        Fixture f(DeviceKind::reference, DType::f64, options);
        // How many codes apart are the one at `middle` and the farthest one where the two differ.
        const auto farthest = [&](const Tensor& a, const Tensor& b, std::int64_t columns_a_code) {
          const std::vector<double> was = a.to_host<double>(), is = b.to_host<double>();
          std::int64_t far = -1;
          for (std::size_t i = 0; i < was.size(); ++i) {
            const std::int64_t column = static_cast<std::int64_t>(i) / a.dim(3) % a.dim(2);
            if (was[i] != is[i]) far = std::max(far, std::abs(column / columns_a_code - middle));
          }
          return far;
        };
        const auto change = [&](const Tensor& x, std::int64_t first_column, std::int64_t columns) {
          std::vector<double> values = x.to_host<double>();
          for (std::size_t i = 0; i < values.size(); ++i) {
            const std::int64_t column = static_cast<std::int64_t>(i) / x.dim(3) % x.dim(2);
            if (column >= first_column && column < first_column + columns) values[i] += 0.5;
          }
          return Tensor::from_host(std::span<const double>(values), x.shape(), f.where);
        };
        const Tensor x = random_images(options, 1, DType::f64, f.where, 5);
        const auto encode = [&](const Tensor& images) { return f.model.encoder(f.context(), images); };
        const auto decode = [&](const Tensor& codes_) { return f.model.decoder(f.context(), codes_); };
        CHECK(farthest(encode(x), encode(change(x, middle * factor, factor)), 1) == options.reach());
        const Tensor z = encode(x);
        CHECK(farthest(decode(z), decode(change(z, middle, 1)), factor) == options.reach());
      }
  }

  TEST_CASE("a single image of any channel count and of the smallest size passes through") {
    for (const std::int64_t channels : {1, 2, 5}) {
      VqvaeOptions options = small_options(CodebookUpdate::ema);
      options.height = options.width = 4;
      options.channels = channels;
      Fixture f(DeviceKind::cpu, DType::f32, options);
      const Tensor x = random_images(options, 1, DType::f32, f.where, 5);
      CHECK(f.model(f.context(), x).reconstruction.shape() == x.shape());
    }
  }
}

}  // namespace
}  // namespace gesso
