#include "tools/bench_step.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "core/allocator.h"
#include "core/isa.h"
#include "core/profiler.h"
#include "core/thread_pool.h"
#include "ops/conv_algorithm.h"
#include "tools/bench_device.h"
#include "train/chosen_settings.h"
#include "train/comparison.h"
#include "train/open_dataset.h"
#include "train/predicted_memory.h"
#include "train/recipe_task.h"
#include "train/step.h"

namespace gesso {
namespace {

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A run's parts, without its directory.
class BenchedRun {
 public:
  BenchedRun(const StepBenchRequest& request, Device& device, bool replay) {
    file_.config().load_file(recipe_path(request.recipe));
    for (const std::string& assignment : request.assignments) file_.config().assign(assignment);
    choose_data_settings(file_);
    Recipe& recipe = file_.recipe();
    recipe.validate();
    algorithm_.emplace(recipe.conv.algorithm);
    const auto seed = static_cast<std::uint64_t>(recipe.train.seed);
    const auto data = open_dataset(recipe.data, Split::train, seed);
    resolve_image_shape(recipe, data->image_shape());
    choose_training_settings(file_, *data);
    recipe.vqvae.validate();
    task_ = make_task(recipe, device);
    task_->measure(*data);
    recipe.train.accumulate = std::min(recipe.train.accumulate, data->size());
    recipe.train.batch = std::min(recipe.train.batch, data->size() / recipe.train.accumulate);
    images_ = read_images(*data, 0, recipe.train.images_a_step(), device);
    batch_.resize(images_.spec().bytes());
    images_.copy_to_host(batch_);
    optimizer_ = std::make_unique<nn::Optimizer>(task_->store(), recipe.optimizer);
    step_ = std::make_unique<TrainStep>(*task_, *optimizer_, images_, step_options(recipe, replay));
    predicted_ = predict_memory({.recipe = recipe, .images = images_.dtype(), .device = device, .replay = replay});
  }

  std::int64_t images() const { return images_.dim(0); }
  std::size_t predicted_peak_bytes() const { return predicted_.peak_bytes; }
  std::string_view conv_algorithm() { return name_of(file_.recipe().conv.algorithm); }

  // Seconds until the step's values are there.
  double timed_step() {
    const double begin = now_seconds();
    images_.copy_from_host(batch_);
    const std::int64_t step = steps_++;
    (void)step_->run(step, file_.recipe().schedule.at(step)).read();
    return now_seconds() - begin;
  }
  // What `read` takes of the profiler after one step.
  template <class Read>
  auto profiled_step(Read&& read) {
    Profiler& profiler = Profiler::instance();
    profiler.start();
    timed_step();
    profiler.stop();
    auto result = read(profiler);
    profiler.clear();
    return result;
  }

 private:
  RecipeFile file_;
  std::optional<ConvAlgorithmScope> algorithm_;
  std::unique_ptr<Task> task_;
  Tensor images_;  // [N,H,W,C]
  std::vector<std::byte> batch_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  std::unique_ptr<TrainStep> step_;
  PredictedMemory predicted_;
  std::int64_t steps_ = 0;
};

double flops_of(const Profiler& profiler) {
  double flops = 0;
  for (const ProfileRow& row : profiler.rows()) flops += row.flops;
  return flops;
}

// What the process and the device's allocator were given by the system so far.
struct SystemUse {
  std::int64_t page_faults = 0;
  std::uint64_t allocations = 0;
  std::size_t peak_rss_bytes = 0;
};
SystemUse system_use(const Device& device) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return {.page_faults = used.ru_minflt + used.ru_majflt,
          .allocations = device.allocator().statistics().device_allocations,
          .peak_rss_bytes = static_cast<std::size_t>(used.ru_maxrss) << 10};
}

// How often something is done to be timed.
struct Rounds {
  int fewest, most;
  double seconds;

  template <class Work>
  void run(Work&& work) const {
    const double start = now_seconds();
    for (int round = 0; round < most && (round < fewest || now_seconds() - start < seconds); ++round) work();
  }
};

void fill(StepBench& bench, std::vector<double> seconds, std::int64_t images) {
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  bench.steps = static_cast<int>(seconds.size());
  bench.ms_min = seconds.front() * 1e3;
  bench.ms_median = median * 1e3;
  bench.images_per_s = static_cast<double>(images) / median;
  if (bench.peak_gflops > 0) bench.share_of_peak = bench.gflop / seconds.front() / bench.peak_gflops;
}

}  // namespace

StepTrace trace_step(const StepBenchRequest& request, Device& device) {
  BenchedRun run(request, device, /*replay=*/false);
  run.timed_step();  // the first one fetches memory and starts the codebook
  return run.profiled_step([](const Profiler& profiler) {
    return StepTrace{.table = profiler.table(), .chrome_json = profiler.chrome_trace()};
  });
}

StepBench bench_step(const StepBenchRequest& request, Device& device) {
  constexpr Rounds kTimed{.fewest = 5, .most = 100, .seconds = 5}, kProfiled{.fewest = 5, .most = 20, .seconds = 2};
  BenchedRun run(request, device, /*replay=*/true);
  StepBench bench{.device = std::string(device.name()), .conv_algorithm = std::string(run.conv_algorithm())};
  run.timed_step();  // the first one fetches memory and starts the codebook
  bench.gflop = run.profiled_step(flops_of) * 1e-9;
  device.allocator().reset_peak();
  const Execution run_on{device, thread_pool(), isa()};
  const DeviceUnderBench under = under_bench(run_on);
  std::vector<double> seconds;
  SystemUse used;
  kTimed.run([&] {
    bench.peak_gflops = std::max(bench.peak_gflops, sample_flops(under) * 1e-9);
    const SystemUse before = system_use(device);
    seconds.push_back(run.timed_step());
    const SystemUse after = system_use(device);
    used.allocations += after.allocations - before.allocations;
    used.page_faults += after.page_faults - before.page_faults;
  });
  fill(bench, std::move(seconds), run.images());
  bench.allocations = static_cast<double>(used.allocations) / bench.steps;
  bench.page_faults = static_cast<double>(used.page_faults) / bench.steps;
  bench.predicted_peak_bytes = run.predicted_peak_bytes();
  bench.peak_bytes = device.allocator().statistics().peak_bytes;
  bench.peak_rss_bytes = system_use(device).peak_rss_bytes;
  if (device.can_capture() || !under.multiply_add) return bench;
  std::vector<std::vector<ProfileEvent>> events;
  kProfiled.run(
      [&] { events.push_back(run.profiled_step([](const Profiler& profiler) { return profiler.events(); })); });
  Floor floor(under, device, bench.peak_gflops * 1e9);
  bench.ops = step_ops(events, floor);
  return bench;
}

}  // namespace gesso
