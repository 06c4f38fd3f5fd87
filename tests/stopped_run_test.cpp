// Runs that meet spikes, or stop at one step: what they say and keep of it, and that it can be made again.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/thread_pool.h"
#include "tests/expect_error.h"
#include "tests/faulty_file_system.h"
#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/recipe_task.h"
#include "train/replay.h"
#include "train/run_history.h"

namespace gesso {
namespace {

// Soft pictures, and among them one of hard contrast.
class OneStrangePicture final : public Dataset {
 public:
  static constexpr std::int64_t kSize = 1000, kStrange = 321;

  OneStrangePicture()
      : Dataset({.name = "one strange picture", .size = kSize, .image_shape = {8, 8, 3}, .class_names = {}}) {}

 protected:
  void read_checked(std::int64_t index, const View&, std::span<std::uint8_t> image,
                    std::int32_t& label) const override {
    for (std::size_t i = 0; i < image.size(); ++i) {
      const std::size_t wave = (i * static_cast<std::size_t>(index % 13 + 1)) % 16;
      image[i] = static_cast<std::uint8_t>(index == kStrange ? (i * i / 7 % 2) * 255 : 120 + wave);
    }
    label = 0;
  }
};

// At 5 pictures a step an epoch has 200 steps: the strange one comes once among the first, once among the next 200.
RunSummary train_on_strange(std::vector<std::string> more, RunOptions options) {
  RunRequest request{.recipe = "vqvae-shapes",
                     .directory = options.directory,
                     .resume = options.resume,
                     .version = "test",
                     .command = "test"};
  if (!options.resume) {
    request.assignments = small_recipe();
    request.assignments.insert(request.assignments.end(), {"log.every=50", "train.steps=400"});
  }
  request.assignments.insert(request.assignments.end(), more.begin(), more.end());
  RecipeFile file;
  const PreparedRun run = prepare_run(request, file);
  options.is_locked = run.lock.has_value();
  return train(file.recipe(), OneStrangePicture(), options);
}

std::vector<StepEvent> events_of(const Path& run) { return read_history(run).events; }

// Training whose numbers leave the range of floats within some steps.
std::vector<std::string> diverging() {
  return {"train.steps=60",         "optimizer.kind=sgd", "optimizer.clip_norm=0",
          "schedule.kind=constant", "schedule.warmup=0",  "schedule.rate=1000",
          "optimizer.ema_decay=0",  "model.dropout=0",    "model.start_from_data=false"};
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_SUITE("stopped run") {
  TEST_CASE("a picture unlike all others is a spike: its step is skipped and told, and training goes on") {
    const TemporaryDirectory folder;
    CHECK(train_on_strange({}, {.directory = folder / "run"}).step == 400);
    const RunHistory history = read_history(folder / "run");
    REQUIRE(history.events.size() >= 1);
    for (const StepEvent& event : history.events) {
      CHECK(event.kind == "skipped");
      CHECK_MESSAGE(holds(event.text, " 321"), event.text);
      CHECK_MESSAGE(holds(event.text, "it changes nothing"), event.text);
      CHECK(event.step > nn::StepGate::kWindow);
    }
    CHECK(history.unreadable_lines == 0);
    CHECK(history.series("loss")->values.size() == 8);
    std::ifstream file(folder / "run" / "metrics.jsonl");
    for (std::string line; std::getline(file, line);) {
      const auto object = nlohmann::json::parse(line);
      for (const char* key : {"step", "split", "loss"}) CHECK_MESSAGE(object.contains(key), line);
    }
  }

  TEST_CASE("a run resumed before, at and behind a spike has the bits of one that was not, and tells it once") {
    const TemporaryDirectory folder;
    (void)train_on_strange({}, {.directory = folder / "whole"});
    const std::int64_t spike = events_of(folder / "whole").at(0).step;
    for (const std::int64_t stop : {spike - 2, spike - 1, spike, spike + 1, spike + 3}) {
      const Path run = folder / fmt::format("stopped-{}", stop);
      (void)train_on_strange({fmt::format("train.steps={}", stop)}, {.directory = run});
      (void)train_on_strange({"train.steps=400"}, {.directory = run, .resume = true});
      CHECK(state_files(run) == state_files(folder / "whole"));
      const std::vector<StepEvent> events = events_of(run);
      CHECK(events.size() == events_of(folder / "whole").size());
      CHECK(events.at(0).step == spike);
    }
  }

  TEST_CASE("a skipped step leaves all as it was, and a logged one does not") {
    const TemporaryDirectory folder;
    (void)train_on_strange({}, {.directory = folder / "whole"});
    const std::int64_t spike = events_of(folder / "whole").at(0).step;
    const auto state_after = [&](std::int64_t steps, const std::string& policy) {
      const Path run = folder / fmt::format("{}-{}", policy, steps);
      (void)train_on_strange({fmt::format("train.steps={}", steps), "spikes.policy=" + policy}, {.directory = run});
      auto files = state_files(run);
      std::map<std::string, std::string> tensors;
      for (const auto& [name, content] : files)
        if (name.ends_with(".safetensors") && !name.starts_with("recent"))
          tensors[name] = content.substr(content.find("}}") + 2);  // without the step in the header
      return tensors;
    };
    const auto skipped_before = state_after(spike - 1, "skip"), logged_before = state_after(spike - 1, "log");
    CHECK(state_after(spike, "skip") == skipped_before);
    CHECK(state_after(spike, "log") != logged_before);
    CHECK(logged_before == skipped_before);
  }

  TEST_CASE("where no spike may be skipped the run stops at it, and goes on when it is told to let it through") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    expect_error(ErrorKind::numeric,
                 {"a spike", "no more may be skipped", " 321", "weights and state were not changed",
                  "checkpoints/step-00000200", "gesso replay", "dumps/step-", "--resume spikes.policy=log"},
                 [&] {
                   (void)train_on_strange({"spikes.skips_in_row=0", "checkpoint.every=100"}, {.directory = run});
                 });
    CHECK(events_of(run).back().kind == "too many spikes");
    const Replay replay = replay_step({.run = run});
    CHECK(same_finding(replay.before, replay.now));
    CHECK(same_values(replay.before, replay.now));
    CHECK(replay.now.decision.verdict == ops::StepVerdict::too_many);
    CHECK(replay.now.decision.loss_limit == replay.before.decision.loss_limit);
    CHECK(train_on_strange({"spikes.policy=log"}, {.directory = run, .resume = true}).step == 400);
    CHECK(events_of(run).front().kind == "spike");
  }

  TEST_CASE("a step that is not finite is kept, and gives the same bits and the same op with other threads") {
    const TemporaryDirectory folder;
    const int threads = thread_pool().threads();
    std::string message;
    try {
      (void)train_small(diverging(), {.directory = folder / "run"});
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::numeric);
      message = error.what();
    }
    CHECK_MESSAGE(holds(message, "not all of it is finite; the first was "), message);
    CHECK_MESSAGE(holds(message, "gesso replay"), message);
    for (const int other : {1, 3}) {
      set_threads(other);
      int results = 0, bad = 0;
      const Replay replay = replay_step({.run = folder / "run", .tell = [&](const ResultStatistics& result) {
                                           ++results;
                                           bad += result.bad > 0;
                                         }});
      CHECK(same_finding(replay.before, replay.now));
      CHECK(same_values(replay.before, replay.now));
      CHECK(replay.now.complaint == replay.before.complaint);
      CHECK_MESSAGE(holds(message, replay.now.complaint), message);
      CHECK(results > 20);
      CHECK(bad > 0);
    }
    set_threads(threads);
  }

  TEST_CASE(
      "a step of several micro-batches is kept whole, made again to the same bits, and the one that went wrong named") {
    const TemporaryDirectory folder;
    std::vector<std::string> settings = diverging();
    settings.push_back("train.accumulate=3");
    expect_error(ErrorKind::numeric, {"the first was ", "in micro-batch 1 of 3", "samples ", "gesso replay"},
                 [&] { (void)train_small(settings, {.directory = folder / "run"}); });
    const StepDump dump = read_step_dump(open_step_dump(folder / "run", ""));
    CHECK(dump.images.dim(0) == 15);
    CHECK(dump.record.samples.size() == 15);
    const Replay replay = replay_step({.run = folder / "run"});
    CHECK(same_finding(replay.before, replay.now));
    CHECK(same_values(replay.before, replay.now));
    CHECK(replay.now.complaint == replay.before.complaint);
  }

  TEST_CASE("a disk that is full when a step is to be kept does not hide why the run stops") {
    const TemporaryDirectory folder;
    std::int64_t calls = 0;
    {
      FaultyFileSystem counting(posix_file_system(), {.call = INT64_MAX});
      expect_error(ErrorKind::numeric, {"kept in"},
                   [&] { (void)train_small(diverging(), {.directory = folder / "first", .files = &counting}); });
      calls = counting.calls();
    }
    for (std::int64_t call = calls - 1; call > calls - 60; call -= 7) {
      FaultyFileSystem full(posix_file_system(), {.error = ENOSPC, .call = call, .lasts = true});
      expect_error(
          ErrorKind::numeric, {"not all of it is finite; the first was", "weights and state were not changed"},
          [&] { (void)train_small(diverging(), {.directory = folder / fmt::format("{}", call), .files = &full}); });
    }
    FaultyFileSystem full(posix_file_system(), {.error = ENOSPC, .call = calls - 40, .lasts = true});
    expect_error(ErrorKind::numeric, {"it could not be kept for gesso replay", "No space left"},
                 [&] { (void)train_small(diverging(), {.directory = folder / "full", .files = &full}); });
    expect_error(ErrorKind::usage, {"there is no step to replay"},
                 [&] { (void)replay_step({.run = folder / "full"}); });
  }

  TEST_CASE("few steps are kept, of each the newest past, and what is damaged or strange is refused") {
    const TemporaryDirectory folder;
    expect_error(ErrorKind::numeric, {}, [&] { (void)train_small(diverging(), {.directory = folder / "run"}); });
    const Path run = folder / "run", dumps = run / "dumps";
    const VerifiedCheckpoint files = open_step_dump(run, "");
    StepDump dump = read_step_dump(files);
    const std::int64_t stopped = dump.record.step;
    const auto keep = [&](std::int64_t step) {
      dump.record.step = step;
      (void)write_step_dump(step_dumps(run), dump, {});
    };
    for (const std::int64_t step : {stopped + 1, stopped + 2, stopped + 3, stopped + 4}) keep(step);
    CHECK(list_directory(dumps).size() == 3);
    keep(stopped + 3);
    CHECK(list_directory(dumps) ==
          std::vector<std::string>{fmt::format("step-{:08}", stopped + 2), fmt::format("step-{:08}", stopped + 3)});
    expect_error(ErrorKind::usage, {"there is no dump 'step-1'", fmt::format("step-{:08}", stopped + 3)},
                 [&] { (void)replay_step({.run = run, .dump = "step-1"}); });
    expect_error(ErrorKind::data, {"it has no weights.safetensors"}, [&] { (void)replay_step({.run = run}); });
    const Path record = dumps / fmt::format("step-{:08}", stopped + 3) / "step.json";
    std::ofstream(record) << "{}";
    expect_error(ErrorKind::data, {"step.json has 2 bytes"}, [&] { (void)replay_step({.run = run}); });
  }

  TEST_CASE("records of steps are read back as they were written, and nothing else is read") {
    const StepRecord record{.step = 7,
                            .decision = {StepRecord().decision.verdict, 128, 1.5, 2.5},
                            .values = {{"loss", 0.1F}, {"grad_norm", std::nan("")}},
                            .samples = {3, 1},
                            .first_bad = "relu, forward",
                            .complaint = "relu, forward: one",
                            .device = "cpu",
                            .isa = "avx2",
                            .version = "1"};
    const std::string text = text_of(record);
    const StepRecord read = parse_step_record(text);
    CHECK(text_of(read) == text);
    CHECK(same_values(read, record));
    CHECK(same_finding(read, record));
    StepRecord other = record;
    other.values[0].value = std::nextafter(0.1F, 1.0F);
    CHECK_FALSE(same_values(other, record));
    for (std::string_view bad : {"", "[]", "{}", "{\"step\": \"x\"}"})
      CHECK_THROWS_AS((void)parse_step_record(bad), Error);
    const auto whole = nlohmann::json::parse(text);
    for (const auto& [key, unused] : whole.items()) {
      nlohmann::json spoiled = whole;
      spoiled[key] = nullptr;
      expect_error(ErrorKind::data, {}, [&] { (void)parse_step_record(spoiled.dump()); });
    }
    for (const double number : {1e30, 1.5, -1e30})
      for (const char* key : {"step", "steps_known", "samples"}) {
        nlohmann::json spoiled = whole;
        (whole[key].is_array() ? spoiled[key][0] : spoiled[key]) = number;
        expect_error(ErrorKind::data, {key, "expected a whole number"},
                     [&] { (void)parse_step_record(spoiled.dump()); });
      }
  }

  TEST_CASE("the program stops with exit code 4, makes the step again, and says where it does not go wrong again") {
    const TemporaryDirectory folder;
    std::vector<std::string> words = tiny_training(folder / "run", 100, false, diverging());
    words.insert(words.end(), {"checkpoint.every=100", "train.steps=60", "--log-format", "json"});
    const Program stopped = run_program(folder.path(), words);
    CHECK(stopped.exit_code == static_cast<int>(ErrorKind::numeric));
    CHECK(stopped.out == read_text_file(folder / "run" / "metrics.jsonl", 1 << 20));
    CHECK_MESSAGE(holds(stopped.out, "\"not finite\""), stopped.out);
    CHECK_MESSAGE(holds(stopped.errors, "gesso replay "), stopped.errors);

    const Program again = run_program(folder.path(), {"replay", folder / "run", "--json", "--ops", "--threads", "3"});
    CHECK(again.exit_code == static_cast<int>(ErrorKind::numeric));
    const auto object = nlohmann::json::parse(again.out);
    CHECK(object.at("reproduced") == true);
    CHECK(object.at("same_bits") == true);
    CHECK(object.at("verdict") == "not finite");
    CHECK(object.at("results").size() > 20);
    const Program told = run_program(folder.path(), {"replay", folder / "run"});
    CHECK_MESSAGE(holds(told.out, "reproduced: the same finding, and all values have the same bits"), told.out);

    const VerifiedCheckpoint files = open_step_dump(folder / "run", "");
    StepDump dump = read_step_dump(files);
    dump.record.first_bad = "relu in nowhere, forward";
    dump.record.version = "1\x1b[31m";
    RecipeFile file;
    file.config().load(dump.config, "config.json");
    const auto task = make_task(file.recipe(), device(DeviceKind::cpu));
    const nn::Optimizer optimizer(task->store(), file.recipe().optimizer);
    load_checkpoint(files, task->store(), step_files(task->store(), optimizer));
    (void)write_step_dump(step_dumps(folder / "run"), dump, step_files(task->store(), optimizer));
    const Program other = run_program(folder.path(), {"replay", folder / "run"});
    CHECK(other.exit_code == 1);
    CHECK_MESSAGE(holds(other.out, "not reproduced: it was 'not finite', first in relu in nowhere"), other.out);
    CHECK_MESSAGE(holds(other.out, "gesso 1\\x1b[31m\n"), other.out);
  }
}

}  // namespace
}  // namespace gesso
