// A training step on a device with kernels, recorded and replayed, against one that is asked for anew each time.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "ops/assign.h"
#include "ops/binary.h"
#include "ops/dropout.h"
#include "ops/reduce.h"
#include "ops/reshape.h"
#include "ops/softmax.h"
#include "ops/unary.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/checkpoint.h"
#include "train/pixel_range.h"
#include "train/run.h"
#include "train/step.h"
#include "train/trainer.h"

namespace gesso {
namespace {

const Shape kBatch = {6, 2, 3, 4};  // [N,H,W,C]

// A model in small, of what a recorded step must get right: draws that change with the step, running state, values for
// the log, ops whose gradients are joined.
class SmallTask final : public Task {
 public:
  explicit SmallTask(Device& device)
      : scale_(store_.declare("scale", {.shape = {4}, .init = {.kind = nn::InitKind::ones}, .decays = true})),
        shift_(store_.declare("shift", {.shape = {3, 4}})),
        mean_(store_.declare("mean", {.shape = {4}, .kind = nn::ParamKind::state})) {
    store_.materialize(device, 1);
  }

  const nn::ParamStore& store() const override { return store_; }
  const models::Vqvae& vqvae() const override { fail("test: this task has no VQ-VAE"); }
  void measure(const Dataset&) override {}
  void start(const nn::Context&, const Tensor& images, std::int64_t) override { started += images.count() > 0 ? 1 : 0; }
  std::vector<Term> losses(const nn::Context& context, const Tensor& images) override {
    ++asked;
    const Tensor x = normalise_images(images);
    const Tensor h =
        ops::dropout(x, context.state.step,
                     {.rate = 0.3, .key = context.key(Purpose::dropout, "drop"), .first_sample = context.first_sample});
    const Tensor y = ops::tanh(ops::add(ops::mul(h, scale_), shift_));
    const Tensor p = ops::softmax(ops::add(y, ops::mul(y, scale_)));
    const Tensor loss = ops::mean(ops::square(ops::sub(p, x)));
    peak_ = ops::sum(ops::square(ops::stop_gradient(p)));
    const Tensor seen = ops::mean(ops::stop_gradient(y), {.axes = axes(0, 1, 2)});
    context.updates.announce(mean_,
                             [mean = mean_.tensor()](std::span<const Tensor> taken, const Tensor& gate) {
                               ops::assign(mean, ops::add(ops::mul(mean, mean), taken[0]), gate);
                             },
                             {{seen, nn::StateUpdates::Join::mean}});
    return {{"loss", loss}, {"peak", peak_}};
  }
  void after_step(std::int64_t) override {
    peaks_.push_back(peak_.device().start_copy_to_host(peak_.bytes(), sizeof(float)));
  }
  std::vector<Metric> statistics() override {
    std::vector<Metric> all;
    for (const auto& copy : peaks_) all.push_back({"peak", *reinterpret_cast<const float*>(copy->wait().data())});
    peaks_.clear();
    return all;
  }
  std::vector<Image> reconstruct(const nn::Context&, const Tensor&) override { return {}; }
  std::vector<Metric> evaluate(const nn::Context&, const Dataset&, std::int64_t) override { return {}; }

  int asked = 0, started = 0;

 private:
  nn::ParamStore store_;
  nn::Param scale_, shift_, mean_;
  Tensor peak_;
  std::vector<std::unique_ptr<HostCopy>> peaks_;
};

struct SmallRun {
  explicit SmallRun(bool replay, DeviceKind kind = test_device(), std::int64_t micro_batches = 1)
      : task(device(kind)),
        optimizer(task.store(), {.weight_decay = 0.01, .clip_norm = 0.05, .ema_decay = 0.9}),
        images({kBatch, DType::u8}, device(kind)),
        step(task, optimizer, images, {.seed = 3, .replay = replay, .micro_batches = micro_batches}) {}

  // The step's values, and all that it changed.
  std::vector<std::vector<float>> run(std::int64_t number) {
    std::mt19937 random(static_cast<std::mt19937::result_type>(test_seed() + static_cast<std::uint64_t>(number)));
    std::vector<std::byte> batch(static_cast<std::size_t>(kBatch.count()));
    for (std::byte& value : batch) value = std::byte(random() & 0xFF);
    images.copy_from_host(batch);
    std::vector<float> values;
    for (const Metric& metric : step.run(number, 0.01 / static_cast<double>(number + 1)).read())
      values.push_back(static_cast<float>(metric.value));
    return {values,
            task.store().weights().to_host<float>(),
            task.store().gradients().to_host<float>(),
            task.store().state().to_host<float>(),
            optimizer.first_moment().to_host<float>(),
            optimizer.second_moment().to_host<float>(),
            optimizer.ema().to_host<float>()};
  }
  // As a checkpoint would.
  void continue_from(const SmallRun& other) const {
    task.store().weights().copy_from(other.task.store().weights());
    task.store().state().copy_from(other.task.store().state());
    optimizer.first_moment().copy_from(other.optimizer.first_moment());
    optimizer.second_moment().copy_from(other.optimizer.second_moment());
    optimizer.ema().copy_from(other.optimizer.ema());
  }

  SmallTask task;
  nn::Optimizer optimizer;
  Tensor images;
  TrainStep step;
};

void train_on_device(const Path& directory, int steps, bool replay, std::vector<std::string> more,
                     bool resume = false) {
  more.push_back(fmt::format("train.steps={}", steps));
  if (!resume) more.push_back("log.every=1");
  (void)train_small(std::move(more),
                    {.directory = directory, .resume = resume, .device = test_device(), .replay = replay});
}

// Without what depends on the clock.
std::vector<std::string> logged(const Path& run) {
  std::vector<std::string> lines;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    auto values = nlohmann::json::parse(line);
    for (const char* name :
         {"images_per_second", "memory_bytes", "seconds", "data_share", "compute_share", "checkpoint_share",
          "pictures_share", "slowest_step", "slowest_seconds", "slowest_data", "slowest_save", "slowest_pictures"})
      values.erase(name);
    lines.push_back(values.dump());
  }
  return lines;
}

TEST_SUITE("device training") {
  TEST_CASE("a VQ-VAE that is trained by replaying its step has the bits of one that is not, resumed or not") {
    const TemporaryDirectory directory;
    for (const std::string accumulate : {"1", "3"}) {
      CAPTURE(accumulate);
      const auto run = [&](const char* name) { return directory / (name + accumulate); };
      const std::vector<std::string> more = {"train.accumulate=" + accumulate};
      train_on_device(run("anew"), 6, false, more);
      train_on_device(run("replayed"), 6, true, more);
      train_on_device(run("resumed"), 3, true, more);
      train_on_device(run("resumed"), 6, true, more, /*resume=*/true);
      const auto want = state_files(run("anew"));
      CHECK(want.size() >= 5);
      CHECK(state_files(run("replayed")) == want);
      CHECK(state_files(run("resumed")) == want);
      CHECK(logged(run("anew")).size() == 6);
      CHECK(logged(run("replayed")) == logged(run("anew")));
    }
  }

  TEST_CASE("a recorded step has the bits of one that is asked for anew, step after step and resumed") {
    SmallRun anew(false), replayed(true), resumed(true);
    for (std::int64_t step = 0; step < 6; ++step) {
      CAPTURE(step);
      const auto want = anew.run(step);
      CHECK(replayed.run(step) == want);
      if (step > 3) CHECK(resumed.run(step) == want);
      if (step == 3) resumed.continue_from(anew);
    }
    CHECK(anew.task.asked == 6);
    CHECK(replayed.task.asked == 2);  // to do it, and to record it
    CHECK(resumed.task.asked == 2);
    CHECK(replayed.task.started == 1);
    CHECK(resumed.task.started == 0);
  }

  TEST_CASE("so has a recorded step of micro-batches, which follows that of the whole batch") {
    const DeviceKind kind = test_device();
    SmallRun whole(false), anew(false, kind, 3), replayed(true, kind, 3);
    for (std::int64_t step = 0; step < 5; ++step) {
      CAPTURE(step);
      const auto want = anew.run(step), near = whole.run(step);
      CHECK(replayed.run(step) == want);
      for (std::size_t i = 1; i < want.size(); ++i)  // but for the values of the log, where "peak" is a sum
        for (std::size_t j = 0; j < want[i].size(); ++j)
          CHECK(want[i][j] == doctest::Approx(near[i][j]).epsilon(1e-4).scale(1e-3));
      CHECK(want[0][0] == doctest::Approx(near[0][0]).epsilon(1e-5));
    }
    CHECK(replayed.task.asked == 2 * 3);
    CHECK(anew.task.asked == 5 * 3);
  }

  TEST_CASE("what a log reads of replayed steps is each step's own") {
    SmallRun anew(false), replayed(true);
    for (std::int64_t step = 0; step < 4; ++step) CHECK(anew.run(step) == replayed.run(step));
    const std::vector<Metric> want = anew.task.statistics(), got = replayed.task.statistics();
    REQUIRE(got.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) CHECK(got[i].value == want[i].value);
    CHECK(want[0].value != want[1].value);
  }

  TEST_CASE("a device that cannot record is asked for each step") {
    SmallRun run(true, DeviceKind::cpu);
    for (std::int64_t step = 0; step < 3; ++step) run.run(step);
    CHECK(run.task.asked == 3);
  }
}

}  // namespace
}  // namespace gesso
