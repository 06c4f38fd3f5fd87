#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "core/allocator.h"
#include "core/error.h"
#include "core/profiler.h"
#include "train/bad_files.h"
#include "train/comparison.h"
#include "train/leftovers.h"
#include "train/open_dataset.h"
#include "train/recipe_task.h"
#include "train/run_lock.h"
#include "train/run_record.h"
#include "train/run_saver.h"
#include "train/start_block.h"
#include "train/step.h"
#include "train/step_dump.h"
#include "train/step_times.h"
#include "train/stopped_step.h"

namespace gesso {
namespace {

template <class Work>
double seconds_of(Work&& work) {
  const double begin = seconds_now();
  work();
  return seconds_now() - begin;
}

std::uint64_t seed(const Recipe& recipe) { return static_cast<std::uint64_t>(recipe.train.seed); }

void check_batch(const Recipe& recipe, const Dataset& train_data) {
  const TrainOptions& step = recipe.train;
  if (train_data.size() >= step.images_a_step()) return;
  if (step.accumulate == 1)
    fail("train.batch {} is more than the {} images of {}; lower it", step.batch, train_data.size(), train_data.name());
  fail("train.batch {} times train.accumulate {} is {} images a step, more than the {} of {}; lower one of them",
       step.batch, step.accumulate, step.images_a_step(), train_data.size(), train_data.name());
}

std::int64_t pictures_a_grid(const Recipe& recipe, const Dataset& test_data) {
  return std::min(recipe.sample.count, test_data.size());
}

// Before memory is predicted: its pictures may stay in memory, too.
std::unique_ptr<Dataset> open_test_data(const Recipe& recipe, const Dataset& train_data) {
  check_batch(recipe, train_data);
  std::unique_ptr<Dataset> test_data = open_dataset(recipe.data, Split::validation, seed(recipe));
  if (test_data->image_shape() != train_data.image_shape())
    fail(ErrorKind::data, "{}: the images to test with are {}, those to train on {}; they must be of one shape",
         test_data->name(), test_data->image_shape().text(), train_data.image_shape().text());
  check_grid(GridKind::comparison, pictures_a_grid(recipe, *test_data), test_data->image_shape(), "lower sample.count");
  check_bad_files(train_data.name(), bad_files_of(train_data, *test_data), train_data.places() + test_data->places(),
                  recipe.data.max_bad, kMendOrSkip);
  return test_data;
}

// Before anything of the run is touched. Resuming a run that is finished is no error: its last pages are made again.
void check_steps(const Recipe& recipe, const Checkpoint& start) {
  if (recipe.train.steps < start.step)
    fail("train.steps is {}, but {} is of step {} already; give at least that", recipe.train.steps,
         start.directory.string(), start.step);
}

PlannedRun planned(const Recipe& recipe, const Dataset& test_data, const RunOptions& options) {
  return {.recipe = recipe,
          .images = test_data.dtype(),
          .pictures = pictures_a_grid(recipe, test_data),
          .device = device(options.device),
          .replay = options.replay};
}

// One run from its first step to its last.
class Run {
 public:
  Run(const Recipe& recipe, const Dataset& train_data, const Dataset& test_data, const RunOptions& options,
      const PredictedMemory& memory);
  RunSummary go();

 private:
  Batch next_batch(std::int64_t step);
  void train_step(std::int64_t step, Batch batch);
  void read_last();
  void record_event(const StepRecord& record);
  [[noreturn]] void stop_at(StepRecord& record);
  void finish_interval(std::int64_t step, bool due);
  void make_pictures(std::int64_t step);
  void show_extremes();
  void lock();
  std::unique_ptr<DataLoader> loader() const;
  std::vector<StoredFile> saved_files() const;
  void load();
  void start_directory(const std::string& configuration);
  void make_pictures_if_due(std::int64_t step);
  void save_if_due(std::int64_t step, bool last);
  bool postponed(std::int64_t step);
  void save(std::int64_t step);
  bool asked(std::atomic<bool> RunControls::*wish, std::string_view does);
  bool asked_to_stop() const { return options_.controls && options_.controls->stop; }
  template <class Work>
  void try_to(Work&& work, std::string_view what_follows = "training goes on");
  bool pictures_due(std::int64_t step) const;
  std::int64_t pictures_shown() const { return pictures_a_grid(recipe_, test_data_); }

  const Recipe& recipe_;
  const RunOptions& options_;
  const PredictedMemory& memory_;
  Device& device_;
  const Dataset &train_data_, &test_data_;
  std::unique_ptr<Task> task_;
  nn::Optimizer optimizer_;
  std::optional<RunLock> lock_;
  Checkpoint start_ = {};  // that it goes on from; step 0: none
  std::unique_ptr<RunSaver> saver_;
  std::unique_ptr<DataLoader> loader_;
  Tensor images_;  // [N,H,W,C] of the data set's type, all of a step
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<RunRecord> record_;
  std::unique_ptr<ProgressLine> line_;
  Throughput throughput_;
  TimeSpent spent_;
  StepTime slowest_;  // since the last line

  // Of the step before: read while the device works on the next one.
  std::optional<StepValues> last_values_;
  std::int64_t last_step_ = -1;
  Batch last_batch_;
  std::vector<Metric> last_metrics_;
  MovingAverage average_loss_;
  RunSummary summary_;
};

Run::Run(const Recipe& recipe, const Dataset& train_data, const Dataset& test_data, const RunOptions& options,
         const PredictedMemory& memory)
    : recipe_(recipe),
      options_(options),
      memory_(memory),
      device_(device(options.device)),
      train_data_(train_data),
      test_data_(test_data),
      task_(make_task(recipe, device_)),
      optimizer_(task_->store(), recipe.optimizer, recipe.spikes) {
  const std::string configuration = text_of(recipe);
  line_ = std::make_unique<ProgressLine>(recipe.model, options.log_format,
                                         options.controls ? &options.controls->stop : nullptr);
  if (options.resume)
    load();
  else
    task_->measure(train_data_);
  const ImageShape& shape = train_data_.image_shape();
  images_ =
      Tensor({{recipe.train.images_a_step(), shape.height, shape.width, shape.channels}, train_data_.dtype()}, device_);
  step_ = std::make_unique<TrainStep>(*task_, optimizer_, images_, step_options(recipe, options.replay));
  loader_ = loader();
  start_directory(configuration);
}

void Run::lock() {
  if (!options_.is_locked && !lock_) lock_.emplace(*options_.files, options_.directory);
}

std::unique_ptr<DataLoader> Run::loader() const {
  const SampleOrder order(train_data_.places(), recipe_.train.images_a_step(), seed(recipe_));
  const Augmentation augmentation{
      .flip = recipe_.data.flip, .crop = recipe_.data.crop == Crop::random, .seed = seed(recipe_)};
  return std::make_unique<DataLoader>(train_data_, order,
                                      DataLoaderOptions{.first_step = start_.step,
                                                        .threads = static_cast<int>(recipe_.data.loaders),
                                                        .augmentation = augmentation,
                                                        .max_bad = recipe_.data.max_bad,
                                                        .other_split = &test_data_});
}

std::vector<StoredFile> Run::saved_files() const {
  return training_files(task_->store(), optimizer_, task_->recent_codes());
}

// Takes damaged checkpoints out of the way of those that training will save.
void Run::load() {
  lock();
  CheckpointStore store = checkpoint_store(options_.directory, *options_.files);
  const VerifiedCheckpoint verified = store.load_newest([](std::string_view, const Manifest&) { return true; });
  check_steps(recipe_, verified.checkpoint);
  load_checkpoint(verified, task_->store(), saved_files());
  for (const auto& [checkpoint, why] : verified.damaged)
    line_->say(fmt::format("{} is damaged: {}; moved to {}, going on from {}", checkpoint.directory.string(), why,
                           store.set_aside(checkpoint).filename().string(),
                           verified.checkpoint.directory.filename().string()));
  start_ = verified.checkpoint;
}

void Run::start_directory(const std::string& configuration) {
  const Path& directory = options_.directory;
  make_directories(*options_.files, directory);
  lock();
  CheckpointStore store = checkpoint_store(directory, *options_.files);
  if (!options_.resume && !store.list().empty())
    fail("{} came to hold another run just now; choose another --out", directory.string());
  store.prepare();
  try_to([&] { remove_leftovers(directory, start_.step, *options_.files); });
  saver_ = std::make_unique<RunSaver>(store, recipe_.checkpoint, saved_files(), start_, *line_);
  write_file_atomically(directory / kConfigFile, configuration);
  record_ = std::make_unique<RunRecord>(directory, recipe_,
                                        RunStart{.step = start_.step,
                                                 .time = {},
                                                 .command = options_.command_line,
                                                 .version = recipe_.about.version,
                                                 .device = std::string(device_.name()),
                                                 .test_images = test_data_.size()});
  if (start_.step < recipe_.train.steps) try_to([this] { record_->begin(); });
  if (options_.controls) options_.controls->looked_after = true;
}

// What is made for those who look on: where the system refuses, or a picture to test with is gone, training goes on.
template <class Work>
void Run::try_to(Work&& work, std::string_view what_follows) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io && error.kind() != ErrorKind::data) throw;
    line_->say(fmt::format("{}; {}", error.what(), what_follows));
  }
}

// Every host read of a step happens here, one step late.
void Run::read_last() {
  if (!last_values_) return;
  StepRecord record{.step = last_step_ + 1,
                    .decision = last_values_->decision(),
                    .values = last_values_->read(),
                    .samples = last_batch_.indices};
  last_values_.reset();
  last_metrics_ = record.values;
  average_loss_.add(record.loss());
  last_metrics_.push_back({"rate", recipe_.schedule.at(last_step_)});
  if (ops::stops(record.decision.verdict)) stop_at(record);
  if (record.decision.verdict == ops::StepVerdict::passed) return;
  line_->say(record.what());
  record_event(record);
}

void Run::record_event(const StepRecord& record) {
  line_->hand_on(event_line(record));
  try_to([&] { record_->event(record); });
}

// Nothing was changed by that step, nor by the one after it, which the device may have made already.
void Run::stop_at(StepRecord& record) {
  saver_->settle(last_step_);
  images_.copy_from_host(std::as_bytes(std::span(last_batch_.images)));
  const std::string message = explain_stop({.recipe = recipe_,
                                            .options = options_,
                                            .store = task_->store(),
                                            .optimizer = optimizer_,
                                            .saver = *saver_,
                                            .images = images_,
                                            .step = *step_},
                                           record);
  record_event(record);
  fail(ErrorKind::numeric, "{}", message);
}

// Tells of files that went bad. Where these are too many, what was done is saved before the run stops.
Batch Run::next_batch(std::int64_t step) {
  const auto tell_bad = [this] {
    const std::vector<std::string> bad = loader_->newly_bad();
    for (const std::string& why : bad) line_->say(fmt::format("{}; other pictures take its place", why));
    if (!bad.empty()) try_to([&] { add_skipped(options_.directory, bad); });
  };
  try {
    Batch batch = loader_->next();
    tell_bad();
    return batch;
  } catch (const Error&) {
    tell_bad();
    if (step > start_.step) {
      if (saver_->newest_started() != step) save(step);
      saver_->finish(step);
    }
    throw;
  }
}

void Run::train_step(std::int64_t step, Batch batch) {
  StepValues values = step_->run(step, recipe_.schedule.at(step));
  read_last();
  last_values_ = std::move(values);
  last_step_ = step;
  last_batch_ = std::move(batch);
}

void Run::finish_interval(std::int64_t step, bool due) {
  if (due) read_last();
  const double total = std::max(seconds_now() - spent_.begin, 1e-9);
  std::vector<Metric> metrics = last_metrics_;
  Progress progress{.step = step, .steps = recipe_.train.steps, .metrics = {}, .average = average_loss_.value()};
  progress.images_per_second = throughput_.images_per_second();
  progress.steps_per_second = progress.images_per_second / static_cast<double>(recipe_.train.images_a_step());
  if (progress.images_per_second > 0)
    progress.seconds_left = static_cast<double>(recipe_.train.steps - step) / progress.steps_per_second;
  progress.data_share = spent_.data / total;
  progress.compute_share = spent_.compute / total;
  progress.checkpoint_share = spent_.checkpoint / total;
  progress.memory_bytes = device_.allocator().statistics().peak_bytes;
  if (due) {
    for (Metric& metric : task_->statistics()) metrics.push_back(std::move(metric));
    summary_.metrics = metrics;
    summary_.metrics.push_back({"images_per_second", progress.images_per_second});
    std::vector<Metric> recorded = summary_.metrics;
    recorded.push_back({"memory_bytes", static_cast<double>(progress.memory_bytes)});
    append_spent(recorded, spent_, total);
    append_slowest(recorded, slowest_);
    if (const std::int64_t failed = saver_->take_failures(); failed > 0)
      recorded.push_back({kSavesFailed, static_cast<double>(failed)});
    progress.record = metrics_line(step, "train", recorded);
    try_to([&] { record_->metrics(step, recorded); });
    spent_ = {};
    slowest_ = {};
  }
  progress.metrics = std::move(metrics);
  line_->show(progress, due);
}

// Steps 1, 2, 4, ... up to the interval, and then every interval.
bool Run::pictures_due(std::int64_t step) const {
  if (step % recipe_.sample.every == 0 || step == recipe_.train.steps) return true;
  return step < recipe_.sample.every && std::has_single_bit(static_cast<std::uint64_t>(step));
}

// Test images above their reconstructions, always the same ones; and how weights, gradients and codes spread.
void Run::make_pictures(std::int64_t step) {
  const std::int64_t count = pictures_shown();
  nn::StateUpdates unused;
  const Tensor images = read_images(test_data_, 0, count, device_);
  const std::vector<Image> after = task_->reconstruct(step_->evaluation(unused), images);
  std::vector<Image> before;
  for (std::int64_t i = 0; i < count; ++i) before.push_back(test_data_.image(i));
  summary_.sample = record_->pictures(step, comparison_grid(before, after));
  record_->histograms(step, task_->store(), task_->code_counts());
}

// Of the weights that were trained last: the pictures that show where they fail.
void Run::show_extremes() {
  nn::StateUpdates unused;
  const nn::Context context = step_->evaluation(unused);
  Extremes found = find_extremes(*task_, context, test_data_, pictures_shown(), [this] { return asked_to_stop(); });
  if (found.worst.empty()) {
    if (asked_to_stop()) summary_.end = RunEnd::interrupted;
    return;
  }
  found.step = summary_.step;
  record_->extremes(found, picture_of(found.worst, *task_, context, test_data_),
                    picture_of(found.best, *task_, context, test_data_));
}

void Run::make_pictures_if_due(std::int64_t step) {
  const bool wanted = asked(&RunControls::pictures, "pictures after");
  if (wanted || pictures_due(step)) try_to([&] { make_pictures(step); });
}

void Run::save_if_due(std::int64_t step, bool last) {
  const bool wanted = asked(&RunControls::checkpoint, "saving after");
  if (last || asked_to_stop() || wanted || (saver_->due(step) && !postponed(step))) save(step);
}

// Where steps are being skipped the weights may be what is wrong; they must not push out a checkpoint that is good.
bool Run::postponed(std::int64_t step) {
  read_last();
  if (optimizer_.gate().skipped_in_row(step) == 0) return false;
  saver_->postpone(step);
  return true;
}

void Run::save(std::int64_t step) {
  read_last();  // a step that is not finite must not be called good
  spent_.checkpoint += seconds_of([&] { saver_->start(step); });
  saver_->tell(step);
}

// Whether a signal asked for it since the last time; says so.
bool Run::asked(std::atomic<bool> RunControls::*wish, std::string_view does) {
  if (!options_.controls || !(options_.controls->*wish).exchange(false)) return false;
  line_->say(fmt::format("as asked, {} step {}", does, summary_.step));
  return true;
}

RunSummary Run::go() {
  const StartFacts facts{.recipe = recipe_,
                         .directory = options_.directory,
                         .train_data = train_data_,
                         .test_data = test_data_,
                         .store = task_->store(),
                         .optimizer = optimizer_,
                         .start_step = start_.step,
                         .memory = memory_};
  write_skipped(facts);
  for (const std::string& text : start_block(facts)) line_->say(text);
  if (start_.step == recipe_.train.steps)
    line_->say(fmt::format("all {} steps are done; raise train.steps to train on", recipe_.train.steps));
  summary_.step = start_.step;
  spent_ = {};
  for (std::int64_t step = start_.step; step < recipe_.train.steps; ++step) {
    const double begin = seconds_now();
    Batch batch = next_batch(step);
    images_.copy_from_host(std::as_bytes(std::span(batch.images)));
    const double loaded = seconds_now();
    train_step(step, std::move(batch));
    const double end = seconds_now();
    const std::int64_t done = summary_.step = step + 1;
    StepTime time{.step = done, .data = loaded - begin, .compute = end - loaded};
    spent_.data += time.data;
    spent_.compute += time.compute;
    throughput_.add(recipe_.train.images_a_step(), end - begin);

    const bool last = done == recipe_.train.steps;
    finish_interval(done, last || done % recipe_.log.every == 0);
    saver_->tell(done);
    time.save = seconds_of([&] { save_if_due(done, last); });
    time.pictures = seconds_of([&] { make_pictures_if_due(done); });
    spent_.pictures += time.pictures;
    if (time.seconds() > slowest_.seconds()) slowest_ = time;
    if (last || !asked_to_stop()) continue;
    if (saver_->newest_started() != done) save(done);
    summary_.end = RunEnd::interrupted;
    break;
  }
  saver_->finish(summary_.step);
  summary_.checkpoint = saver_->newest().directory;
  if (summary_.end == RunEnd::finished) try_to([this] { show_extremes(); }, "the run is saved");
  if (summary_.end == RunEnd::interrupted)
    line_->say(fmt::format("stopped after step {}, saved in {}; go on with --resume", summary_.step,
                           summary_.checkpoint.string()));
  return summary_;
}

}  // namespace

std::vector<std::string> training_plan(const Recipe& recipe, const Dataset& train_data, const RunOptions& options) {
  recipe.validate();
  const std::unique_ptr<Dataset> test_data = open_test_data(recipe, train_data);
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const PredictedMemory memory = predict_memory_that_fits(planned(recipe, *test_data, options));
  const std::unique_ptr<Device> dry = device(options.device).dry();
  const std::unique_ptr<Task> task = make_task(recipe, *dry);
  const nn::Optimizer optimizer(task->store(), recipe.optimizer, recipe.spikes);
  Checkpoint start;
  if (options.resume)
    start = checkpoint_store(options.directory, *options.files)
                .load_newest([](std::string_view, const Manifest&) { return false; })
                .checkpoint;
  check_steps(recipe, start);
  return start_block({.recipe = recipe,
                      .directory = options.directory,
                      .train_data = train_data,
                      .test_data = *test_data,
                      .store = task->store(),
                      .optimizer = optimizer,
                      .start_step = start.step,
                      .memory = memory});
}

RunSummary train(const Recipe& recipe, const Dataset& train_data, const RunOptions& options) {
  recipe.validate();
  const std::unique_ptr<Dataset> test_data = open_test_data(recipe, train_data);
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const PlannedRun plan = planned(recipe, *test_data, options);
  const PredictedMemory memory = predict_memory_that_fits(plan);
  RunSummary summary;
  tell_want_of_memory(plan, memory, options.directory,
                      [&] { summary = Run(recipe, train_data, *test_data, options, memory).go(); });
  return summary;
}

}  // namespace gesso
