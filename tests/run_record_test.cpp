#include "train/run_record.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/isa.h"
#include "core/thread_pool.h"
#include "tests/decoded_events.h"
#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/temporary_directory.h"
#include "train/recipe_task.h"

namespace gesso {
namespace {

std::vector<Path> event_files(const Path& run) {
  std::vector<Path> files;
  for (const std::string& name : list_directory(run))
    if (name.find("tfevents") != std::string::npos) files.push_back(run / name);
  return files;
}

// What a reader has of all files, by tag: it drops what it has from a step on where a file says that it starts there.
std::map<std::string, std::vector<SummaryValue>> read_as_tensorboard(const Path& run) {
  std::map<std::string, std::vector<SummaryValue>> tags;
  for (const Path& file : event_files(run)) {
    const Records records = read_records(read_text_file(file, 1 << 24));
    CHECK(!records.damaged);
    for (const std::string& payload : records.payloads) {
      const Fields event(payload);
      CHECK(event.valid);
      if (event.message(7).whole(1) == 1)
        for (auto& [tag, values] : tags)
          std::erase_if(values, [&](const SummaryValue& value) { return value.step >= event.whole(2); });
      for (SummaryValue& value : summary_values({{payload}, false, false})) tags[value.tag].push_back(std::move(value));
    }
  }
  return tags;
}

std::vector<std::int64_t> steps_of(const std::vector<SummaryValue>& values) {
  std::vector<std::int64_t> steps;
  for (const SummaryValue& value : values) steps.push_back(value.step);
  return steps;
}

std::vector<nlohmann::json> lines_of(const Path& file) {
  std::vector<nlohmann::json> lines;
  const std::string text = read_text_file(file, 1 << 20);
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(nlohmann::json::parse(text.substr(begin, end - begin)));
  return lines;
}

TEST_SUITE("run record") {
  TEST_CASE("the event file of a run holds what metrics.jsonl and the pictures hold, and histograms beside them") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    train_small({"train.steps=10", "sample.every=5"}, {.directory = run, .command_line = "the command"});
    REQUIRE(event_files(run).size() == 1);
    auto tags = read_as_tensorboard(run);

    const std::vector<nlohmann::json> lines = lines_of(run / "metrics.jsonl");
    REQUIRE(lines.size() == 3);
    for (const char* name :
         {"loss", "nmse", "vq", "grad_norm", "rate", "usage", "perplexity", "images_per_second", "memory_bytes",
          "seconds", "data_share", "compute_share", "checkpoint_share", "pictures_share"}) {
      const std::vector<SummaryValue>& values = tags[std::string("train/") + name];
      REQUIRE_MESSAGE(values.size() == lines.size(), name);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        CHECK(values[i].step == lines[i].at("step"));
        CHECK(values[i].fields.single(2) == lines[i].at(name).get<float>());
      }
    }
    for (const nlohmann::json& line : lines) {
      double shares = 0;
      for (const char* name : {"data_share", "compute_share", "checkpoint_share", "pictures_share"}) {
        CHECK(line.at(name) >= 0);
        shares += line.at(name).get<double>();
      }
      CHECK(shares <= 1 + 1e-9);
      CHECK(line.at("seconds") > 0);
      CHECK(line.at("memory_bytes") > 0);
    }

    const std::vector<std::int64_t> pictured = {1, 2, 4, 5, 10};
    CHECK(steps_of(tags["samples"]) == pictured);
    for (const SummaryValue& value : tags["samples"]) {
      const Path file = run / "samples" / fmt::format("step-{:08}.png", value.step);
      CHECK(value.fields.message(4).text(4) == read_text_file(file, 1 << 20));
      CHECK(read_text_file(file, 1 << 20).find("the command") != std::string::npos);
      CHECK(read_text_file(file, 1 << 20).find(fmt::format("step {}, seed 1", value.step)) != std::string::npos);
    }
    std::set<std::string> parameters;
    for (const auto& [tag, values] : tags) {
      if (!tag.starts_with("weights/") && !tag.starts_with("gradients/")) continue;
      parameters.insert(tag.substr(tag.find('/')));
      CHECK(steps_of(values) == pictured);
      for (const SummaryValue& value : values) CHECK(value.fields.message(5).real(3) > 0);
    }
    std::set<std::string> trained;
    const auto task = make_task(read_history(run).recipe, device(DeviceKind::cpu));
    for (const nn::Param& param : task->store().params())
      if (param.spec().kind == nn::ParamKind::trained) trained.insert("/" + param.name());
    CHECK(parameters == trained);
    REQUIRE(steps_of(tags["codes/by_rank"]) == pictured);
    CHECK(tags["codes/by_rank"].back().fields.message(5).real(3) == 10 * 5 * 2 * 2);  // steps, batch, codes a picture
    CHECK(read_history(run).code_counts.size() == 32);
    for (std::size_t i = 1; i < lines.size(); ++i) {  // before the first line, its step was not over
      CHECK(lines[i].at("slowest_step") <= lines[i].at("step"));
      CHECK(lines[i].at("slowest_step") >= lines[i - 1].at("step"));
      CHECK(lines[i].at("slowest_seconds") >= lines[i].at("slowest_pictures"));
    }
    const auto extremes = read_history(run).extremes;
    REQUIRE(extremes);
    CHECK(extremes->step == 10);
    CHECK(extremes->looked_at == 6);
    REQUIRE(extremes->worst.size() == 3);
    REQUIRE(extremes->best.size() == 3);
    CHECK(extremes->worst[0].mse >= extremes->worst[2].mse);
    CHECK(extremes->worst[2].mse >= extremes->best[2].mse);
    CHECK(extremes->best[2].mse >= extremes->best[0].mse);
    for (const char* name : {kWorstPicture, kBestPicture})
      CHECK(read_text_file(run / name, 1 << 20).find("step 10, seed 1") != std::string::npos);
    CHECK(tags["configuration"].size() == 1);
    CHECK(tags["_hparams_/session_start_info"].size() == 1);
  }

  TEST_CASE("a run that goes on has a second event file, and no reader sees a step twice") {
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    train_small({"train.steps=12", "checkpoint.every=5", "log.every=1", "sample.every=3"}, {.directory = run});
    // As a kill would have left it: step 12 was seen, but is not saved.
    std::filesystem::remove_all(run / "checkpoints" / "step-00000012");
    train_small({"train.steps=14"}, {.directory = run, .resume = true, .command_line = "again"});
    CHECK(event_files(run).size() == 2);
    auto tags = read_as_tensorboard(run);
    std::vector<std::int64_t> every(14);
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::int64_t>(i) + 1;
    CHECK(steps_of(tags["train/loss"]) == every);
    CHECK(steps_of(tags["samples"]) == std::vector<std::int64_t>{1, 2, 3, 6, 9, 12, 14});
    CHECK(lines_of(run / "metrics.jsonl").size() == 14);

    const std::vector<nlohmann::json> starts = lines_of(run / "starts.jsonl");
    REQUIRE(starts.size() == 2);
    CHECK(starts[0].at("step") == 0);
    CHECK(starts[1].at("step") == 10);
    CHECK(starts[1].at("command") == "again");
    CHECK(starts[1].at("device") == "cpu");
    CHECK(starts[1].at("machine") == fmt::format("{}, {} threads", name_of(isa()), thread_pool().threads()));
    CHECK(starts[1].at("test_images") == 6);
    const RunStart read = read_history(run).starts.at(1);
    CHECK(read.machine == starts[1].at("machine"));
    CHECK(read.test_images == 6);
    const std::string time = starts[1].at("time");
    CHECK(time.size() == 20);
    CHECK(time.ends_with("Z"));
  }

  TEST_CASE("a dry run says what would be trained, and writes nothing") {
    const TemporaryDirectory folder;
    const std::string run = folder / "run";
    const std::vector<std::string> words = {"train",       "vqvae-shapes",  "--out",
                                            run,           "train.steps=6", "train.batch=4",
                                            "data.size=8", "data.count=9",  "data.test_count=4"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), words.begin(), words.end());
      return run_program(folder.path(), more);
    };
    const Program plan = with({"--dry-run"});
    CHECK(plan.exit_code == 0);
    for (const char* word : {"run          ", "parameters", "memory", "checkpoints  every", "0 to 6 of 4 images"})
      CHECK_MESSAGE(plan.out.find(word) != std::string::npos, word, " in ", plan.out);
    CHECK(!std::filesystem::exists(run));
    const Program json = with({"--dry-run", "--json"});
    CHECK(nlohmann::json::parse(json.out).at("plan").size() > 5);
    CHECK(with({"--dry-run", "train.accumulate=2"}).out.find("8 images in 2 micro-batches of 4, 1 an epoch") !=
          std::string::npos);
    CHECK(with({"--dry-run", "train.batch=10"}).exit_code == static_cast<int>(ErrorKind::usage));
    CHECK(with({"--dry-run", "--resume"}).exit_code != 0);
    CHECK(!std::filesystem::exists(run));
    std::filesystem::create_directory(run);
    CHECK(with({"--dry-run"}).exit_code == 0);
    CHECK(list_directory(run).empty());
  }

  TEST_CASE("a trained run leaves its page, and its log line says where the time went") {
    const TemporaryDirectory folder;
    const std::string run = folder / "my run";
    const Program trained =
        run_program(folder.path(), {"train", "vqvae-shapes", "--out", run, "train.steps=3", "train.batch=4",
                                    "data.size=8", "data.count=9", "data.test_count=4", "model.hidden=4", "log.every=1",
                                    "model.residual_hidden=2", "model.codes=16", "model.code_width=4", "--json"});
    REQUIRE_MESSAGE(trained.exit_code == 0, trained.errors);
    CHECK(nlohmann::json::parse(trained.out).at("report") == run + "/report.html");
    for (const char* word : {"(average ", " steps/s | ", " img/s | ", "| data ", "| compute ", "| save "})
      CHECK(trained.errors.find(word) != std::string::npos);
    const std::string page = read_text_file(Path(run) / "report.html", 1 << 24);
    CHECK(page.find("my run&#39;") != std::string::npos);  // in the command, in the quotes that a shell needs
    CHECK(page.find("Finished: 3 steps.") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
