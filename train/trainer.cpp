#include "train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "core/allocator.h"
#include "core/error.h"
#include "core/profiler.h"
#include "train/checkpoint_writer.h"
#include "train/comparison.h"
#include "train/open_dataset.h"
#include "train/run_lock.h"
#include "train/run_record.h"
#include "train/start_block.h"
#include "train/step.h"
#include "train/step_times.h"
#include "train/vqvae_task.h"

namespace gesso {
namespace {

template <class Work>
double seconds_of(Work&& work) {
  const double begin = seconds_now();
  work();
  return seconds_now() - begin;
}

std::uint64_t seed(const Recipe& recipe) { return static_cast<std::uint64_t>(recipe.train.seed); }

// Others may have files of their own in these directories.
void remove_unfinished_of(const Path& run) {
  static constexpr std::array<std::string_view, 7> kOurs = {kConfigFile,   kMetricsFile,  kSkippedFile, kCodesFile,
                                                            kExtremesFile, kWorstPicture, kBestPicture};
  remove_unfinished(run, [](std::string_view name) { return std::ranges::find(kOurs, name) != kOurs.end(); });
  remove_unfinished(run / kSamplesFolder,
                    [](std::string_view name) { return name.starts_with("step-") && name.ends_with(".png"); });
}

void check_batch(const Recipe& recipe, const Dataset& train_data) {
  if (train_data.size() < recipe.train.batch)
    fail("train.batch {} is more than the {} images of {}; lower it", recipe.train.batch, train_data.size(),
         train_data.name());
}

void check_data(const Recipe& recipe, const Dataset& train_data, const Dataset& test_data) {
  if (test_data.image_shape() != train_data.image_shape())
    fail(ErrorKind::data, "{}: the images to test with are {}, those to train on {}; they must be of one shape",
         test_data.name(), test_data.image_shape().text(), train_data.image_shape().text());
  check_grid(GridKind::comparison, std::min(recipe.sample.count, test_data.size()), test_data.image_shape(),
             "lower sample.count");
}

PlannedRun planned(const Recipe& recipe, const Dataset& train_data, const RunOptions& options) {
  check_batch(recipe, train_data);
  return {.recipe = recipe,
          .images = train_data.dtype(),
          .pictures = recipe.sample.count,
          .device = device(options.device),
          .replay = options.replay};
}

// One run from its first step to its last.
class Run {
 public:
  Run(const Recipe& recipe, const Dataset& train_data, const RunOptions& options, const PredictedMemory& memory);
  RunSummary go();

 private:
  void train_step(std::int64_t step);
  void read_last();
  void finish_interval(std::int64_t step, bool due);
  void make_pictures(std::int64_t step);
  void show_extremes();
  void lock();
  std::unique_ptr<DataLoader> loader(std::int64_t first_step, std::int64_t threads) const;
  std::string first_bad();
  void load();
  void start_directory(const std::string& configuration);
  void make_pictures_if_due(std::int64_t step);
  void save_if_due(std::int64_t step, bool last);
  void save(std::int64_t step);
  bool asked(std::atomic<bool> RunControls::*wish, std::string_view does);
  bool asked_to_stop() const { return options_.controls && options_.controls->stop; }
  void tell_saves(std::int64_t step);
  void finish_saving();
  std::string newest_checkpoint() const { return saved_step_ == 0 ? "none" : summary_.checkpoint.string(); }
  template <class Work>
  void try_to(Work&& work);
  bool pictures_due(std::int64_t step) const;
  std::int64_t pictures_shown() const { return std::min(recipe_.sample.count, test_data_->size()); }

  const Recipe& recipe_;
  const RunOptions& options_;
  const PredictedMemory& memory_;
  Device& device_;
  const Dataset& train_data_;
  std::unique_ptr<Dataset> test_data_;
  std::unique_ptr<Task> task_;
  nn::Optimizer optimizer_;
  std::optional<RunLock> lock_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::int64_t start_step_ = 0;
  std::unique_ptr<DataLoader> loader_;
  Tensor images_;  // [N,H,W,C] of the data set's type, the batch
  std::unique_ptr<TrainStep> step_;
  std::unique_ptr<RunRecord> record_;
  std::unique_ptr<ProgressLine> line_;
  Throughput throughput_;
  TimeSpent spent_;
  StepTime slowest_;               // since the last line
  std::int64_t saves_failed_ = 0;  // since the last line

  // Of the step before: read while the device works on the next one.
  std::optional<StepValues> last_values_;
  std::int64_t last_step_ = -1;
  std::vector<Metric> last_metrics_;
  MovingAverage average_loss_;
  RunSummary summary_;

  std::int64_t saved_step_ = 0;                    // of the newest checkpoint
  bool in_doubt_ = false;                          // whether that one might not be on disk
  std::int64_t saving_step_ = 0;                   // of the newest save that was started
  std::int64_t retry_step_ = 0, retry_pause_ = 1;  // when a save that failed is tried again; 0: none failed
  std::string save_problem_;                       // of the newest save
};

Run::Run(const Recipe& recipe, const Dataset& train_data, const RunOptions& options, const PredictedMemory& memory)
    : recipe_(recipe),
      options_(options),
      memory_(memory),
      device_(device(options.device)),
      train_data_(train_data),
      test_data_(open_dataset(recipe.data, Split::validation, seed(recipe))),
      task_(make_task(recipe, device_)),
      optimizer_(task_->store(), recipe.optimizer) {
  check_data(recipe, train_data_, *test_data_);
  const std::string configuration = text_of(recipe);
  line_ = std::make_unique<ProgressLine>(recipe.model, options.log_format);
  if (options.resume)
    load();
  else
    task_->measure(train_data_);
  const ImageShape& shape = train_data_.image_shape();
  images_ = Tensor({{recipe.train.batch, shape.height, shape.width, shape.channels}, train_data_.dtype()}, device_);
  step_ = std::make_unique<TrainStep>(*task_, optimizer_, images_, step_options(recipe, options.replay));
  loader_ = loader(start_step_, recipe.data.loaders);
  start_directory(configuration);
}

void Run::lock() {
  if (!options_.is_locked && !lock_) lock_.emplace(*options_.files, options_.directory);
}

std::unique_ptr<DataLoader> Run::loader(std::int64_t first_step, std::int64_t threads) const {
  const SampleOrder order(train_data_.size(), recipe_.train.batch, seed(recipe_));
  const Augmentation augmentation{
      .flip = recipe_.data.flip, .crop = recipe_.data.crop == Crop::random, .seed = seed(recipe_)};
  return std::make_unique<DataLoader>(
      train_data_, order,
      DataLoaderOptions{.first_step = first_step, .threads = static_cast<int>(threads), .augmentation = augmentation});
}

// Takes damaged checkpoints out of the way of those that training will save.
void Run::load() {
  lock();
  CheckpointStore store = checkpoint_store(options_.directory, *options_.files);
  const VerifiedCheckpoint verified = store.load_newest([](std::string_view, const Manifest&) { return true; });
  load_checkpoint(verified, task_->store(), optimizer_);
  for (const auto& [checkpoint, why] : verified.damaged)
    line_->say(fmt::format("{} is damaged: {}; moved to {}, going on from {}", checkpoint.directory.string(), why,
                           store.set_aside(checkpoint).filename().string(),
                           verified.checkpoint.directory.filename().string()));
  start_step_ = saved_step_ = verified.checkpoint.step;
  summary_.checkpoint = verified.checkpoint.directory;
}

void Run::start_directory(const std::string& configuration) {
  const Path& directory = options_.directory;
  make_directories(*options_.files, directory);
  lock();
  CheckpointStore store = checkpoint_store(directory, *options_.files);
  if (!options_.resume && !store.list().empty())
    fail("{} came to hold another run just now; choose another --out", directory.string());
  store.prepare();
  remove_unfinished_of(directory);
  writer_ = std::make_unique<CheckpointWriter>(store, recipe_.checkpoint.keep, task_->store(), optimizer_);
  write_file_atomically(directory / kConfigFile, configuration);
  record_ = std::make_unique<RunRecord>(directory, recipe_,
                                        RunStart{.step = start_step_,
                                                 .time = {},
                                                 .command = options_.command_line,
                                                 .version = recipe_.about.version,
                                                 .device = std::string(device_.name())});
  try_to([this] { record_->begin(); });
  if (options_.controls) options_.controls->looked_after = true;
}

// What is written for those who look on: where the system refuses, training goes on.
template <class Work>
void Run::try_to(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io) throw;
    line_->say(fmt::format("{}; training goes on", error.what()));
  }
}

// Makes the last step again and says what in it was not finite first, and on which samples.
std::string Run::first_bad() {
  const Batch batch = loader(last_step_, 0)->next();
  images_.copy_from_host(std::as_bytes(std::span(batch.images)));
  const std::optional<BadResult> found = step_->look_for_bad(last_step_, recipe_.schedule.at(last_step_));
  if (!found) return "made again, all of it was finite; is memory or processor faulty?";
  return fmt::format("the first was {}; samples {}", found->text(), fmt::join(batch.indices, " "));
}

// Every host read of a step happens here, one step late; where it was not finite nothing moved since.
void Run::read_last() {
  if (!last_values_) return;
  last_metrics_ = last_values_->read();
  const bool is_good = last_values_->is_good();
  last_values_.reset();
  const double loss = last_metrics_.front().value, norm = last_metrics_.back().value;
  average_loss_.add(loss);
  last_metrics_.push_back({"rate", recipe_.schedule.at(last_step_)});
  if (is_good) return;
  writer_->wait();
  tell_saves(last_step_);
  fail(ErrorKind::numeric,
       "step {}: loss {}, gradient norm {}: not all of it is finite; {}; weights and state were not changed, and the "
       "last checkpoint is {}; lower schedule.rate or set optimizer.clip_norm",
       last_step_ + 1, loss, norm, first_bad(), newest_checkpoint());
}

void Run::train_step(std::int64_t step) {
  StepValues values = step_->run(step, recipe_.schedule.at(step));
  read_last();
  last_values_ = std::move(values);
  last_step_ = step;
}

void Run::finish_interval(std::int64_t step, bool due) {
  if (due) read_last();
  const double total = std::max(seconds_now() - spent_.begin, 1e-9);
  std::vector<Metric> metrics = last_metrics_;
  Progress progress{.step = step, .steps = recipe_.train.steps, .metrics = {}, .average = average_loss_.value()};
  progress.images_per_second = throughput_.images_per_second();
  progress.steps_per_second = progress.images_per_second / static_cast<double>(recipe_.train.batch);
  if (progress.images_per_second > 0)
    progress.seconds_left =
        static_cast<double>((recipe_.train.steps - step) * recipe_.train.batch) / progress.images_per_second;
  progress.data_share = spent_.data / total;
  progress.compute_share = spent_.compute / total;
  progress.checkpoint_share = spent_.checkpoint / total;
  progress.memory_bytes = device_.allocator().statistics().peak_bytes;
  if (due) {
    for (Metric& metric : task_->statistics()) metrics.push_back(std::move(metric));
    summary_.metrics = metrics;
    summary_.metrics.push_back({"images_per_second", progress.images_per_second});
    std::vector<Metric> recorded = summary_.metrics;
    recorded.insert(recorded.end(), {{"memory_bytes", static_cast<double>(progress.memory_bytes)},
                                     {"seconds", total},
                                     {"data_share", progress.data_share},
                                     {"compute_share", progress.compute_share},
                                     {"checkpoint_share", progress.checkpoint_share}});
    append_slowest(recorded, slowest_);
    if (saves_failed_ > 0) recorded.push_back({kSavesFailed, static_cast<double>(saves_failed_)});
    progress.record = metrics_line(step, "train", recorded);
    try_to([&] { record_->metrics(step, recorded); });
    spent_ = {};
    slowest_ = {};
    saves_failed_ = 0;
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
  const Tensor images = read_images(*test_data_, 0, count, device_);
  const std::vector<Image> after = task_->reconstruct(step_->evaluation(unused), images);
  std::vector<Image> before;
  for (std::int64_t i = 0; i < count; ++i) before.push_back(test_data_->image(i));
  summary_.sample = record_->pictures(step, comparison_grid(before, after));
  record_->histograms(step, task_->store(), task_->code_counts());
}

// Of the weights that were trained last: the pictures that show where they fail.
void Run::show_extremes() {
  nn::StateUpdates unused;
  const nn::Context context = step_->evaluation(unused);
  Extremes found = find_extremes(*task_, context, *test_data_, pictures_shown());
  if (found.worst.empty()) return;
  found.step = summary_.step;
  record_->extremes(found, picture_of(found.worst, *task_, context, *test_data_),
                    picture_of(found.best, *task_, context, *test_data_));
}

void Run::make_pictures_if_due(std::int64_t step) {
  const bool wanted = asked(&RunControls::pictures, "pictures after");
  if (wanted || pictures_due(step)) try_to([&] { make_pictures(step); });
}

void Run::save_if_due(std::int64_t step, bool last) {
  const bool wanted = asked(&RunControls::checkpoint, "saving after");
  const bool due = step % recipe_.checkpoint.every == 0 || (retry_step_ > 0 && step >= retry_step_);
  if (last || asked_to_stop() || wanted || due) save(step);
}

void Run::save(std::int64_t step) {
  read_last();  // a step that is not finite must not be called good
  retry_step_ = 0;
  spent_.checkpoint += seconds_of([&] { writer_->start(step); });
  saving_step_ = step;
  tell_saves(step);
}

// Whether a signal asked for it since the last time; says so.
bool Run::asked(std::atomic<bool> RunControls::*wish, std::string_view does) {
  if (!options_.controls || !(options_.controls->*wish).exchange(false)) return false;
  line_->say(fmt::format("as asked, {} step {}", does, summary_.step));
  return true;
}

// What became of saves by now. After one that failed, the next is made 1, 2, 4, ... steps later, at most an interval;
// where a newer one is under way already, that is the next.
void Run::tell_saves(std::int64_t step) {
  for (const SaveReport& report : writer_->reports()) {
    save_problem_ = report.problem;
    if (report.directory.empty()) {
      ++saves_failed_;
      line_->say(fmt::format("step {} is not saved: {}; the last checkpoint is {}", report.step, report.problem,
                             newest_checkpoint()));
      if (report.step != saving_step_) continue;
      retry_step_ = step + retry_pause_;
      retry_pause_ = std::min(2 * retry_pause_, recipe_.checkpoint.every);
      continue;
    }
    summary_.checkpoint = report.directory;
    saved_step_ = report.step;
    in_doubt_ = report.in_doubt;
    retry_pause_ = 1;
    if (!report.problem.empty())
      line_->say(
          fmt::format("step {} is saved in {}, but: {}", report.step, report.directory.string(), report.problem));
  }
}

// A run that ends must have saved what it did; what fails only once must not spoil that.
void Run::finish_saving() {
  const auto settle = [this] {
    writer_->wait();
    tell_saves(summary_.step);
  };
  settle();
  if (saved_step_ != summary_.step) {
    writer_->start(summary_.step);
    settle();
  }
  if (saved_step_ != summary_.step)
    fail(ErrorKind::io, "step {}, the last one, could not be saved: {}; the last checkpoint is {}", summary_.step,
         save_problem_, newest_checkpoint());
  if (!in_doubt_) return;
  try {
    sync_directory(*options_.files, directory_of(summary_.checkpoint));
  } catch (const Error& error) {
    fail(ErrorKind::io, "step {}, the last one, is saved in {}, but perhaps not on disk: {}", summary_.step,
         summary_.checkpoint.string(), error.what());
  }
}

RunSummary Run::go() {
  const StartFacts facts{.recipe = recipe_,
                         .directory = options_.directory,
                         .train_data = train_data_,
                         .test_data = *test_data_,
                         .store = task_->store(),
                         .optimizer = optimizer_,
                         .start_step = start_step_,
                         .memory = memory_};
  write_skipped(facts);
  for (const std::string& text : start_block(facts)) line_->say(text);
  summary_.step = start_step_;
  spent_ = {};
  for (std::int64_t step = start_step_; step < recipe_.train.steps; ++step) {
    const double begin = seconds_now();
    const Batch batch = loader_->next();
    images_.copy_from_host(std::as_bytes(std::span(batch.images)));
    const double loaded = seconds_now();
    train_step(step);
    const double end = seconds_now();
    const std::int64_t done = summary_.step = step + 1;
    StepTime time{.step = done, .data = loaded - begin, .compute = end - loaded};
    spent_.data += time.data;
    spent_.compute += time.compute;
    throughput_.add(recipe_.train.batch, end - begin);

    const bool last = done == recipe_.train.steps;
    finish_interval(done, last || done % recipe_.log.every == 0);
    tell_saves(done);
    time.save = seconds_of([&] { save_if_due(done, last); });
    time.pictures = seconds_of([&] { make_pictures_if_due(done); });
    if (time.seconds() > slowest_.seconds()) slowest_ = time;
    if (last || !asked_to_stop()) continue;
    if (saving_step_ != done) save(done);
    summary_.end = RunEnd::interrupted;
    break;
  }
  finish_saving();
  if (summary_.end == RunEnd::finished) try_to([this] { show_extremes(); });
  if (summary_.end == RunEnd::interrupted)
    line_->say(fmt::format("stopped after step {}, saved in {}; go on with --resume", summary_.step,
                           summary_.checkpoint.string()));
  return summary_;
}

}  // namespace

StepOptions step_options(const Recipe& recipe, bool replay) {
  return {.seed = seed(recipe), .replay = replay, .recompute = recipe.train.recompute == Recompute::stages};
}

std::unique_ptr<Task> make_task(const Recipe& recipe, Device& device) {
  return std::make_unique<VqvaeTask>(
      VqvaeTaskOptions{.model = recipe.vqvae, .start_from_data = recipe.start_from_data, .seed = seed(recipe)}, device);
}

void resolve_image_shape(Recipe& recipe, const ImageShape& found) {
  models::VqvaeOptions& model = recipe.vqvae;
  const auto resolve = [&](std::string_view key, std::int64_t& wanted, std::int64_t given) {
    if (wanted == 0) wanted = given;
    if (wanted != given)
      fail("{} is {}, but the images of the data set are {}; leave it out, or give other data", key, wanted,
           found.text());
  };
  resolve("model.height", model.height, found.height);
  resolve("model.width", model.width, found.width);
  resolve("model.channels", model.channels, found.channels);
}

std::vector<std::string> training_plan(const Recipe& recipe, const Dataset& train_data, const RunOptions& options) {
  recipe.validate();
  const std::unique_ptr<Dataset> test_data = open_dataset(recipe.data, Split::validation, seed(recipe));
  check_data(recipe, train_data, *test_data);
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const PredictedMemory memory = predict_memory_that_fits(planned(recipe, train_data, options));
  const std::unique_ptr<Device> dry = device(options.device).dry();
  const std::unique_ptr<Task> task = make_task(recipe, *dry);
  const nn::Optimizer optimizer(task->store(), recipe.optimizer);
  std::int64_t start_step = 0;
  if (options.resume)
    start_step = checkpoint_store(options.directory, *options.files)
                     .load_newest([](std::string_view, const Manifest&) { return false; })
                     .checkpoint.step;
  return start_block({.recipe = recipe,
                      .directory = options.directory,
                      .train_data = train_data,
                      .test_data = *test_data,
                      .store = task->store(),
                      .optimizer = optimizer,
                      .start_step = start_step,
                      .memory = memory});
}

RunSummary train(const Recipe& recipe, const Dataset& train_data, const RunOptions& options) {
  recipe.validate();
  const ConvAlgorithmScope algorithm(recipe.conv.algorithm);
  const PlannedRun plan = planned(recipe, train_data, options);
  const PredictedMemory memory = predict_memory_that_fits(plan);
  RunSummary summary;
  tell_want_of_memory(plan, memory, options.directory,
                      [&] { summary = Run(recipe, train_data, options, memory).go(); });
  return summary;
}

}  // namespace gesso
