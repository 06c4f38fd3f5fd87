// Gradient accumulation: a step of k micro-batches is the step of the one batch that they make up.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "ops/binary.h"
#include "ops/loss.h"
#include "tests/expect_error.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/trainee.h"
#include "train/micro_batches.h"

namespace gesso {
namespace {

using models::CodebookUpdate;

// How a batch is split.
struct Split {
  std::int64_t micro_batches, each;
  std::int64_t images() const { return micro_batches * each; }
};

Split draw_split(std::mt19937_64& random) {
  const auto from = [&](std::int64_t low, std::uint64_t count) {
    return low + static_cast<std::int64_t>(random() % count);
  };
  return {.micro_batches = from(2, 6), .each = from(1, 4)};
}

// |got - want| over |want|, norms of all elements.
template <class T>
double difference(const std::vector<T>& got, const std::vector<T>& want) {
  REQUIRE(got.size() == want.size());
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - static_cast<double>(want[i]), 2);
    norm += std::pow(static_cast<double>(want[i]), 2);
  }
  REQUIRE(norm > 0);
  return std::sqrt(error / norm);
}

// A VQ-VAE in double, with what a step may touch: dropout, a codebook by either rule, codes that are revived.
class ExactTask final : public Task {
 public:
  explicit ExactTask(CodebookUpdate update) : model_(nn::Scope(store_), options(update)) {
    store_.materialize(device(DeviceKind::reference), test_seed(), DType::f64);
    model_.quantizer.start();
  }
  static models::VqvaeOptions options(CodebookUpdate update) {
    return {.height = 8,
            .width = 4,
            .channels = 2,
            .hidden = 6,
            .residual_hidden = 3,
            .residual_blocks = 1,
            .dropout = 0.3,
            .quantizer = {
                .codes = 9, .width = 3, .update = update, .revive_below = update == CodebookUpdate::ema ? 0.98 : 0}};
  }

  const nn::ParamStore& store() const override { return store_; }
  const models::Vqvae& vqvae() const override { return model_; }
  void measure(const Dataset&) override {}
  void start(const nn::Context&, const Tensor&, std::int64_t) override {}
  std::vector<Term> losses(const nn::Context& context, const Tensor& x) override {
    const models::VqvaeResult result = model_(context, x);
    const Tensor mse = ops::mse(result.reconstruction, x);
    return {{"loss", ops::add(mse, result.quantized.loss)}, {"mse", mse}, {"vq", result.quantized.loss}};
  }
  void after_step(std::int64_t) override {}
  std::vector<Metric> statistics() override { return {}; }
  std::vector<Image> reconstruct(const nn::Context&, const Tensor&) override { return {}; }
  std::vector<Metric> evaluate(const nn::Context&, const Dataset&, std::int64_t) override { return {}; }

 private:
  nn::ParamStore store_;
  models::Vqvae model_;
};

class ExactRun {
 public:
  ExactRun(CodebookUpdate update, std::int64_t micro_batches)
      : task_(update), optimizer_(task_.store(), {.weight_decay = 0.01, .ema_decay = 0.9}), k_(micro_batches) {}

  // The step's loss terms, and all that it changed.
  std::vector<std::vector<double>> step(std::int64_t number, const Tensor& images) {
    state_.set(number, 0.01 / static_cast<double>(number + 1));
    nn::StateUpdates updates, none;
    const nn::Context context{
        .device = reference_, .mode = nn::Mode::train, .state = state_, .updates = updates, .seed = test_seed()};
    const std::vector<Term> terms = differentiate(task_, context, images, k_);
    optimizer_.step(context.part(0, none), terms.front().value);
    const double open = 1;  // the optimiser's own gate is f32, which a codebook in double does not take
    updates.commit(Tensor::from_host(std::span(&open, 1), {1}, reference_));
    std::vector<std::vector<double>> all(1);
    for (const Term& term : terms) all[0].push_back(term.value.to_host<double>()[0]);
    for (const Tensor& arena : {task_.store().gradients(), task_.store().weights(), task_.store().state(),
                                optimizer_.first_moment(), optimizer_.second_moment(), optimizer_.ema()})
      if (arena.count() > 0) all.push_back(arena.to_host<double>());
    return all;
  }

 private:
  Device& reference_ = device(DeviceKind::reference);
  ExactTask task_;
  nn::Optimizer optimizer_;
  nn::StepState state_{reference_};
  std::int64_t k_;
};

Tensor random_images(std::int64_t count, std::mt19937_64& random) {
  const models::VqvaeOptions options = ExactTask::options(CodebookUpdate::ema);
  const Shape shape{count, options.height, options.width, options.channels};
  std::vector<double> values(static_cast<std::size_t>(shape.count()));
  for (double& v : values) v = static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
  return Tensor::from_host(std::span<const double>(values), shape, device(DeviceKind::reference));
}

std::vector<nlohmann::json> lines_of(const Path& run) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST_SUITE("gradient accumulation") {
  TEST_CASE("in double, steps of k micro-batches of b are those of a batch of k b, codebook and all, to 1e-12") {
    std::mt19937_64 random(test_seed());
    double worst = 0;
    for (const CodebookUpdate update : {CodebookUpdate::ema, CodebookUpdate::gradient})
      for (int round = 0; round < 4; ++round) {
        const Split split = draw_split(random);
        INFO(split.micro_batches, " of ", split.each);
        ExactRun parts(update, split.micro_batches), whole(update, 1);
        for (std::int64_t step = 0; step < 5; ++step) {
          const Tensor images = random_images(split.images(), random);
          const auto got = parts.step(step, images), want = whole.step(step, images);
          REQUIRE(got.size() == want.size());
          for (std::size_t i = 0; i < want.size(); ++i) {
            worst = std::max(worst, difference(got[i], want[i]));
            CHECK(difference(got[i], want[i]) < 1e-12);
          }
        }
      }
    MESSAGE("largest difference ", worst);
  }

  TEST_CASE("a batch that does not divide into its micro-batches is refused") {
    expect_error(ErrorKind::usage, {"4 images", "3 micro-batches"}, [] { Trainee({.batch = 4, .micro_batches = 3}); });
  }

  TEST_CASE("in float, each step of k micro-batches of b from identical state is that of a batch of k b, to 1e-5") {
    std::mt19937_64 random(test_seed());
    double worst = 0;
    for (int round = 0; round < 8; ++round) {
      const Split split = draw_split(random);
      INFO(split.micro_batches, " of ", split.each);
      Trainee parts({.pictures = split.images(), .batch = split.images(), .micro_batches = split.micro_batches}),
          whole({.pictures = split.images(), .batch = split.images()});
      for (std::int64_t step = 0; step < 4; ++step) {
        if (step > 0) parts.continue_from(whole);
        const std::vector<Metric> got = parts.run(step).read(), want = whole.run(step).read();
        REQUIRE(got.size() == want.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
          CHECK(got[i].name == want[i].name);
          CHECK(got[i].value == doctest::Approx(want[i].value).epsilon(1e-5));
        }
        worst = std::max(worst, difference(parts.gradients(), whole.gradients()));
        CHECK(difference(parts.gradients(), whole.gradients()) < 1e-5);
        const auto now = parts.state(), wanted = whole.state();
        for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(difference(now[i], wanted[i]) < 1e-5);
        CHECK(parts.task().code_counts() == whole.task().code_counts());
      }
    }
    MESSAGE("largest difference of a gradient ", worst);
  }

  TEST_CASE("a run takes the samples of the large batch in its order, at its learning rates") {
    const TemporaryDirectory folder;
    const auto train = [&](const char* name, std::vector<std::string> more) {
      more.insert(more.end(), {"train.steps=9", "log.every=1"});
      (void)train_small(more, {.directory = folder / name});
      return lines_of(folder / name);
    };
    const auto whole = train("whole", {"train.batch=12"}),
               parts = train("parts", {"train.batch=4", "train.accumulate=3"});
    REQUIRE(whole.size() == 9);
    REQUIRE(parts.size() == 9);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      INFO("step ", i + 1);
      CHECK(parts[i].at("rate") == whole[i].at("rate"));
      for (const char* name : {"loss", "nmse", "vq", "grad_norm", "usage", "perplexity"})
        CHECK(parts[i].at(name).get<double>() == doctest::Approx(whole[i].at(name).get<double>()).epsilon(1e-4));
    }
  }
}

}  // namespace
}  // namespace gesso
