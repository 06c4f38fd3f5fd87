#include "train/predicted_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <new>
#include <system_error>

#include "core/error.h"
#include "core/memory_use.h"
#include "core/thread_pool.h"
#include "nn/optimizer.h"
#include "ops/conv_algorithm.h"
#include "train/checkpoint.h"
#include "train/data_loader.h"
#include "train/recipe_task.h"
#include "train/run_log.h"
#include "train/step.h"

namespace gesso {
namespace {

// Of the host, for all that is small or passes by: records, logs, grids of pictures, stacks of threads.
constexpr std::size_t kMargin = std::size_t{32} << 20;
// What a device says that knows of none (core/host_memory.h).
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

Tensor batch_on(const PlannedRun& run, std::int64_t images, Device& device) {
  const MemoryUse use("batch", "");
  const models::VqvaeOptions& model = run.recipe.vqvae;
  return {{{images, model.height, model.width, model.channels}, run.images}, device};
}

// What a run does with memory, in its order.
void rehearse(const PlannedRun& run, Device& dry, PredictedMemory& predicted) {
  const Recipe& recipe = run.recipe;
  const std::unique_ptr<Task> task = make_task(recipe, dry);
  nn::Optimizer optimizer(task->store(), recipe.optimizer);
  const Tensor images = batch_on(run, recipe.train.images_a_step(), dry);
  TrainStep step(*task, optimizer, images, step_options(recipe, /*replay=*/false));
  for (std::int64_t i = 0; i < 3; ++i) {  // the first one starts the model, and pictures follow it
    (void)step.run(i, recipe.schedule.at(i));
    nn::StateUpdates unused;
    if (i == 0 && run.pictures > 0) (void)task->reconstruct(step.evaluation(unused), batch_on(run, run.pictures, dry));
  }
  // With pictures go histograms of weights and of gradients.
  const std::size_t histograms = run.pictures > 0 ? 2 * task->store().weights().spec().bytes() : 0;
  // Those read ahead, that of the step and that of the step before, whose values are read one step late.
  const auto batches = static_cast<std::size_t>(DataLoaderOptions().prefetch + 2);
  predicted.snapshot_bytes = checkpoint_bytes(training_files(task->store(), optimizer, task->recent_codes()));
  predicted.host_bytes = predicted.snapshot_bytes + histograms + batches * images.spec().bytes() + kMargin;
}

std::size_t needed(const PlannedRun& run, const PredictedMemory& predicted) {
  return predicted.held_bytes + (run.device.kind() == DeviceKind::cuda ? 0 : predicted.host_bytes);
}

bool fits(const PlannedRun& run, std::size_t available) {
  try {
    return needed(run, predict_memory(run)) <= available;
  } catch (const Error& error) {  // more than can be counted
    if (error.kind() != ErrorKind::memory) throw;
    return false;
  }
}

bool fits_with(const PlannedRun& run, std::size_t available, const TrainOptions& train) {
  Recipe changed = run.recipe;
  changed.train = train;
  return fits({changed, run.images, run.pictures, run.device, run.replay}, available);
}

// Steps of as many images, in the fewest micro-batches that fit, of at most `most`; empty: none do.
std::string same_steps(const PlannedRun& run, std::size_t available, std::int64_t most) {
  TrainOptions train = run.recipe.train;
  const std::int64_t images = train.images_a_step();
  while (++train.accumulate <= kMostMicroBatches) {
    train.batch = images / train.accumulate;
    if (images % train.accumulate != 0 || train.batch > most || !fits_with(run, available, train)) continue;
    return fmt::format("; train.batch={} train.accumulate={} fits and makes steps of as many images", train.batch,
                       train.accumulate);
  }
  return {};
}

std::string remedy(const PlannedRun& run, std::size_t available) {
  const TrainOptions& train = run.recipe.train;
  TrainOptions changed = train;
  std::int64_t most = 0;  // that fits
  for (std::int64_t too_many = train.batch; most + 1 < too_many;) {
    changed.batch = most + (too_many - most) / 2;
    (fits_with(run, available, changed) ? most : too_many) = changed.batch;
  }
  std::string text =
      most > 0 ? fmt::format("the largest train.batch that fits is {}", most) + same_steps(run, available, most)
               : fmt::format("no train.batch fits; use {}a smaller model or smaller images",
                             train.accumulate > 1 ? "a lower train.accumulate, " : "");
  changed = train;
  changed.recompute = Recompute::stages;
  if (train.recompute == Recompute::off && fits_with(run, available, changed))
    text += fmt::format("; train.batch {} fits with train.recompute=stages, which takes more time", train.batch);
  return text;
}

// How a run that lies in `directory` gets on with more memory, or with less need of it.
std::string way_on(const Recipe& recipe, const Path& directory) {
  const std::vector<Checkpoint> saved = list_checkpoints(directory);
  const char* less = recipe.train.recompute == Recompute::off ? " or set train.recompute=stages" : "";
  const std::string smaller =
      recipe.train.batch > 1 ? fmt::format("a train.batch below {} and a higher train.accumulate", recipe.train.batch)
                             : "smaller images";
  if (saved.empty()) return fmt::format("nothing is saved yet; free memory{}, or start with {}", less, smaller);
  return fmt::format("the last checkpoint is {}; free memory{} and go on with --resume, or start anew with {}",
                     saved.back().directory.string(), less, smaller);
}

}  // namespace

std::string PredictedMemory::largest() const {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, holders.size()); ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", holders[i].text(), format_bytes(holders[i].bytes));
  return text;
}

PredictedMemory predict_memory(const PlannedRun& run) {
  const ConvAlgorithmScope algorithm(run.recipe.conv.algorithm);
  const std::unique_ptr<Device> dry = run.device.dry();
  PredictedMemory predicted;
  const std::size_t cached = run.device.allocator().statistics().cached_bytes;
  predicted.available_bytes = cached + std::min(run.device.available_bytes(), kNoLimit - cached);
  rehearse(run, *dry, predicted);
  const MemoryStatistics used = dry->allocator().statistics();
  predicted.held_bytes = used.peak_held_bytes;
  // What a recorded step works on stays its own.
  predicted.peak_bytes = run.replay && run.device.can_capture() ? used.peak_held_bytes : used.peak_bytes;
  predicted.holders = dry->allocator().holders_at_peak();
  return predicted;
}

PredictedMemory predict_memory_that_fits(const PlannedRun& run) {
  PredictedMemory predicted = predict_memory(run);
  const std::size_t available = predicted.available_bytes;
  const TrainOptions& train = run.recipe.train;
  const std::string accumulated =
      train.accumulate == 1 ? "" : fmt::format(" and train.accumulate {}", train.accumulate);
  if (needed(run, predicted) > available)
    fail(ErrorKind::memory,
         "out of memory before the first step: with train.batch {}{} this run needs {} on {}, but {} are available; "
         "the most is held by {}; {}",
         train.batch, accumulated, format_bytes(needed(run, predicted)), run.device.name(), format_bytes(available),
         predicted.largest(), remedy(run, available));
  return predicted;
}

void tell_want_of_memory(const PlannedRun& run, const PredictedMemory& predicted, const Path& directory,
                         const std::function<void()>& work) {
  std::string what;
  try {
    return work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) throw;
    what = error.what();
  } catch (const std::bad_alloc&) {
    what = "out of memory on the host";
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    what =
        fmt::format("out of memory on the host: a thread could not be started ({}); data.loaders is {}, --threads {}",
                    error.what(), run.recipe.data.loaders, thread_pool().threads());
  }
  fail(ErrorKind::memory, "{}; {} of tensors were predicted for the peak, the most held by {}; {}", what,
       format_bytes(predicted.peak_bytes), predicted.largest(), way_on(run.recipe, directory));
}

}  // namespace gesso
