// What training a VQ-VAE keeps between two lines of its log.
#include "train/vqvae_task.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "core/device.h"
#include "tests/support.h"
#include "train/pixel_range.h"

namespace gesso {
namespace {

constexpr std::int64_t kSide = 8, kCodesAnImage = 4, kCodes = 16;

VqvaeTaskOptions small() {
  return {.model = {.height = kSide,
                    .width = kSide,
                    .channels = 1,
                    .hidden = 8,
                    .residual_hidden = 4,
                    .residual_blocks = 1,
                    .quantizer = {.codes = kCodes, .width = 4}}};
}

// A task, and a list of all codes that its model gave, from the first step to the last.
class Watched {
 public:
  Watched() : task(small(), cpu_) {
    const std::vector<float> pixels = {0.5f, 0.1f};  // mean and variance, which measure() would find
    for (const nn::Param& param : task.store().params())
      if (param.name() == "data.pixels") param.tensor().copy_from_host(std::as_bytes(std::span(pixels)));
    nn::StateUpdates updates;  // from pictures, so that many codes occur
    task.start({.device = cpu_, .state = state_, .updates = updates}, noise(256), 256);
  }

  void step(std::int64_t number, std::int64_t images, std::int64_t micro_batches) {
    random_.seed(test_seed() + static_cast<std::uint64_t>(number) + 1);
    for (std::int64_t i = 0; i < micro_batches; ++i) {
      const Tensor batch = noise(images);
      nn::StateUpdates updates;
      (void)task.losses({.device = cpu_, .state = state_, .updates = updates, .first_sample = i * images}, batch);
      const NoGrad constants;
      const nn::Context context{.device = cpu_, .state = state_, .updates = updates};
      const auto codes = task.vqvae()(context, normalise_images(batch)).quantized.index.to_host<std::int32_t>();
      all_.insert(all_.end(), codes.begin(), codes.end());
    }
    task.after_step(number);
  }

  // By counting the list's end.
  std::vector<std::int64_t> last_counts() const {
    std::vector<std::int64_t> counts(kCodes);
    const std::size_t most = static_cast<std::size_t>(VqvaeTask::kRecentCodes);
    for (const std::int32_t code : std::span(all_).last(std::min(most, all_.size())))
      ++counts[static_cast<std::size_t>(code)];
    return counts;
  }

 private:
  Tensor noise(std::int64_t images) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(images * kSide * kSide));
    std::ranges::generate(values, [&] { return static_cast<std::uint8_t>(random_() >> 56); });
    return Tensor::from_host(std::span<const std::uint8_t>(values), {images, kSide, kSide, 1}, cpu_);
  }

  Device& cpu_ = device(DeviceKind::cpu);
  const nn::StepState state_{cpu_};
  std::mt19937_64 random_{test_seed()};
  std::vector<std::int32_t> all_;

 public:
  VqvaeTask task;
};

TEST_SUITE("vqvae task") {
  TEST_CASE("usage is that of the last 65,536 codes, whatever a step has of them") {
    struct Steps {
      std::int64_t images, micro_batches;
      int count;
    };
    // Far from a full ring; around its end within a micro-batch; one micro-batch larger than it; two of half of it.
    for (const Steps& steps : {Steps{100, 2, 3}, Steps{1100, 3, 7}, Steps{17'000, 1, 2}, Steps{8192, 2, 2}}) {
      INFO(steps.images << " images, " << steps.micro_batches << " micro-batches, " << steps.count << " steps");
      Watched run;
      for (int i = 0; i < steps.count; ++i) {
        run.step(i, steps.images, steps.micro_batches);
        CHECK(run.task.code_counts() == run.last_counts());
      }
      CHECK_MESSAGE(std::ranges::count(run.last_counts(), 0) < kCodes - 3, "nearly all codes are one");
    }
  }

  TEST_CASE("what is taken along lets a resumed run count as one that never stopped") {
    constexpr std::int64_t kImages = 1700;  // 6800 codes a step: the ring is full after 10, and not at its end then
    Watched whole;
    for (int i = 0; i < 13; ++i) whole.step(i, kImages, 1);
    Watched resumed;
    resumed.task.recent_codes().copy_from(whole.task.recent_codes());
    for (int i = 13; i < 19; ++i) {
      whole.step(i, kImages, 1);
      resumed.step(i, kImages, 1);
      CHECK(resumed.task.code_counts() == whole.last_counts());
    }
  }
}

}  // namespace
}  // namespace gesso
