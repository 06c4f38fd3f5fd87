// The VQ-VAE trains on a device with kernels as it does on the CPU: step by step from identical state, running freely,
// and across a resume from one device to the other.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nn/optimizer.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/comparison.h"
#include "train/dataset.h"
#include "train/run.h"
#include "train/step.h"
#include "train/trainer.h"
#include "train/vqvae_task.h"

namespace gesso {
namespace {

constexpr std::int64_t kSteps = 20;

// vqvae-fashion, made small; codes that are seldom chosen are revived from the sixth step on.
std::vector<std::string> tiny() {
  return {"data.kind=shapes",
          "data.path=",
          "data.size=8",
          "data.channels=1",
          "data.count=64",
          "data.test_count=4",
          "model.hidden=8",
          "model.residual_hidden=4",
          "model.residual_blocks=1",
          "model.codes=32",
          "model.code_width=4",
          "model.revive_below=0.95",
          "train.batch=4",
          fmt::format("train.steps={}", kSteps),
          "optimizer.ema_decay=0.9",
          "optimizer.clip_norm=1",
          "log.every=1",
          "checkpoint.every=1000",
          "sample.every=1000",
          "sample.count=2"};
}

struct Prepared {
  RecipeFile file;
  std::unique_ptr<Dataset> data;
  const Recipe& recipe = file.recipe();

  explicit Prepared(const Path& directory, std::vector<std::string> more = {}, bool resume = false) {
    RunRequest request{.recipe = "vqvae-fashion", .directory = directory, .resume = resume};
    if (!resume) request.assignments = tiny();
    request.assignments.insert(request.assignments.end(), more.begin(), more.end());
    data = std::move(prepare_run(request, file).data);
  }
};

void copy_arena(const Tensor& from, const Tensor& to) {
  if (!from) return;
  const std::vector<float> values = from.to_host<float>();
  to.copy_from_host(std::as_bytes(std::span(values)));
}

// A model on one device with all that a step of it touches.
class Trainee {
 public:
  Trainee(const Recipe& recipe, const Dataset& data, DeviceKind kind)
      : recipe_(recipe),
        data_(data),
        device_(device(kind)),
        task_({.model = recipe.vqvae, .seed = test_seed()}, device_),
        optimizer_(task_.store(), recipe.optimizer),
        images_(read_images(data, 0, recipe.train.images_a_step(), device_)),
        step_(task_, optimizer_, images_, {.seed = test_seed(), .micro_batches = recipe.train.accumulate}) {
    task_.measure(data);
  }

  const nn::ParamStore& store() const { return task_.store(); }
  const nn::Optimizer& optimizer() const { return optimizer_; }

  void take_state_of(const Trainee& other) {
    copy_arena(other.store().weights(), store().weights());
    copy_arena(other.store().state(), store().state());
    copy_arena(other.optimizer_.first_moment(), optimizer_.first_moment());
    copy_arena(other.optimizer_.second_moment(), optimizer_.second_moment());
    copy_arena(other.optimizer_.ema(), optimizer_.ema());
  }

  // A step as the trainer makes it; its loss.
  double run(std::int64_t step) {
    const std::int64_t batch = images_.dim(0);
    images_.copy_from(read_images(data_, step * batch % data_.size(), batch, device_));
    return step_.run(step, recipe_.schedule.at(step)).read().front().value;
  }
  // The step's update alone, of the other's gradients.
  void update(std::int64_t step, const Trainee& other) {
    copy_arena(other.store().gradients(), store().gradients());
    const nn::StepState state(device_);
    state.set(step, recipe_.schedule.at(step));
    nn::StateUpdates none;
    optimizer_.step({.device = device_, .mode = nn::Mode::train, .state = state, .updates = none});
  }

 private:
  const Recipe& recipe_;
  const Dataset& data_;
  Device& device_;
  VqvaeTask task_;
  nn::Optimizer optimizer_;
  Tensor images_;  // [N,H,W,C] u8
  TrainStep step_;
};

double norm(const std::vector<float>& values) {
  double squares = 0;
  for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(squares);
}
// |got - want| over |want|, norms of all elements; or over `scale`, where that is larger.
double difference(const std::vector<float>& got, const std::vector<float>& want, double scale = 1e-30) {
  REQUIRE(got.size() == want.size());
  std::vector<float> error(want.size());
  for (std::size_t i = 0; i < want.size(); ++i) error[i] = got[i] - want[i];
  return norm(error) / std::max(norm(want), scale);
}
std::vector<float> part(const Tensor& arena, const nn::Param& param) {
  return nn::ParamStore::part_of(arena, param).to_host<float>();
}

// Of f32 sums that the devices join in different orders, through a few layers: over 12 seeds of 20 steps at most 5e-6.
constexpr double kTolerance = 1e-5;
// The bias of the last layer's one channel is the sum of reconstruction less image, nearly equal numbers of either
// sign: at most 1.2e-5 of the whole gradient, which is its measure.
constexpr double kOneChannelTolerance = 3e-5;
// Of the optimiser alone: at most 1e-7.
constexpr double kUpdateTolerance = 5e-7;
// Of weights after four steps on one device and four on another: at most 1.1e-7 over 8 seeds. Without the first moment
// it would be 1e-2.
constexpr double kResumeTolerance = 1e-6;

void check_gradients(const Trainee& got, const Trainee& want) {
  const double whole = norm(want.store().gradients().to_host<float>());
  for (const nn::Param& param : want.store().params()) {
    if (param.spec().kind != nn::ParamKind::trained) continue;
    const bool one_channel = param.spec().shape.count() == 1;
    const double error = difference(part(got.store().gradients(), param), part(want.store().gradients(), param),
                                    one_channel ? whole : 1e-30);
    CHECK_MESSAGE(error < (one_channel ? kOneChannelTolerance : kTolerance), "gradient of ", param.name(), ": ", error);
  }
}
void check_state(const Trainee& got, const Trainee& want) {
  for (const nn::Param& param : want.store().params()) {
    if (param.spec().kind != nn::ParamKind::state) continue;
    const double error = difference(part(got.store().state(), param), part(want.store().state(), param));
    CHECK_MESSAGE(error < kTolerance, param.name(), ": ", error);
  }
}
void check_update(const Trainee& got, const Trainee& want) {
  for (const nn::Param& param : want.store().params()) {
    if (param.spec().kind != nn::ParamKind::trained) continue;
    INFO(param.name());
    const auto check = [&](const Tensor& ours, const Tensor& theirs) {
      CHECK(difference(part(ours, param), part(theirs, param)) < kUpdateTolerance);
    };
    check(got.store().weights(), want.store().weights());
    check(got.optimizer().first_moment(), want.optimizer().first_moment());
    check(got.optimizer().second_moment(), want.optimizer().second_moment());
    check(got.optimizer().ema(), want.optimizer().ema());
  }
}

// Codes that were set to a vector of the batch count exactly 1.
std::int64_t revived(const Trainee& trainee) {
  std::int64_t count = 0;
  for (const nn::Param& param : trainee.store().params())
    if (param.name().ends_with("ema_count"))
      for (const float n : param.tensor().to_host<float>()) count += n == 1.0f;
  return count;
}

std::vector<double> losses_of(const Prepared& prepared, DeviceKind kind) {
  Trainee trainee(prepared.recipe, *prepared.data, kind);
  std::vector<double> losses;
  for (std::int64_t step = 0; step < kSteps; ++step) losses.push_back(trainee.run(step));
  return losses;
}

std::vector<float> weights_of_run(const Path& directory, std::int64_t first_half, DeviceKind first, DeviceKind second) {
  for (const bool resume : {false, true}) {
    std::vector<std::string> more = {fmt::format("train.steps={}", resume ? 2 * first_half : first_half)};
    if (!resume) more.insert(more.end(), {"schedule.warmup=0", "optimizer.ema_decay=0"});  // each step counts in full
    const Prepared prepared(directory, more, resume);
    train(prepared.recipe, *prepared.data,
          {.directory = directory, .resume = resume, .device = resume ? second : first});
  }
  const auto run = open_run(directory, {}, device(DeviceKind::cpu));
  return run->task->store().weights().to_host<float>();
}

void check_steps(const Prepared& prepared) {
  Trainee cpu(prepared.recipe, *prepared.data, DeviceKind::cpu);
  Trainee tested(prepared.recipe, *prepared.data, test_device());
  Trainee updated(prepared.recipe, *prepared.data, test_device());
  std::int64_t steps_with_revival = 0;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    INFO("step " << step);
    tested.take_state_of(cpu);
    updated.take_state_of(cpu);
    const double got = tested.run(step), want = cpu.run(step);
    CHECK(got == doctest::Approx(want).epsilon(1e-5));
    check_gradients(tested, cpu);
    check_state(tested, cpu);
    updated.update(step, cpu);
    check_update(updated, cpu);
    steps_with_revival += revived(cpu) > 0 && step > 0;
  }
  CHECK(steps_with_revival > 0);
}

TEST_SUITE("device steps") {
  TEST_CASE("from identical state each step agrees in loss, in every gradient and in every update") {
    const TemporaryDirectory folder;
    check_steps(Prepared(folder / "run"));
  }

  TEST_CASE("so does each step of micro-batches") {
    const TemporaryDirectory folder;
    check_steps(Prepared(folder / "run", {"train.batch=2", "train.accumulate=2"}));
  }

  TEST_CASE("running freely, the loss stays within one percent for twenty steps") {
    const TemporaryDirectory folder;
    const Prepared prepared(folder / "run");
    const std::vector<double> want = losses_of(prepared, DeviceKind::cpu), got = losses_of(prepared, test_device());
    for (std::size_t step = 0; step < want.size(); ++step)
      CHECK_MESSAGE(got[step] == doctest::Approx(want[step]).epsilon(0.01), "step ", step);
    CHECK(want.back() < want.front());
  }

  TEST_CASE("a run goes on on another device") {
    const TemporaryDirectory folder;
    const std::vector<float> want = weights_of_run(folder / "cpu", 4, DeviceKind::cpu, DeviceKind::cpu);
    CHECK(difference(weights_of_run(folder / "to", 4, DeviceKind::cpu, test_device()), want) < kResumeTolerance);
    CHECK(difference(weights_of_run(folder / "from", 4, test_device(), DeviceKind::cpu), want) < kResumeTolerance);
  }
}

}  // namespace
}  // namespace gesso
