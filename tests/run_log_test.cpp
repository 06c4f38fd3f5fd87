// What a run says while it trains.
#include "train/run_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/program.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/step_times.h"

namespace gesso {
namespace {

Progress example() {
  return {.step = 120,
          .steps = 1000,
          .metrics = {{"loss", 0.25}, {"nmse", 0.2}, {"grad_norm", 1.5}},
          .average = 0.3,
          .steps_per_second = 12.5,
          .images_per_second = 400,
          .seconds_left = 71,
          .data_share = 0.02,
          .compute_share = 0.95,
          .checkpoint_share = 0.01,
          .memory_bytes = 3 << 20};
}

TEST_SUITE("run log") {
  TEST_CASE("a progress line says where training is, how fast it goes and where its time goes") {
    CHECK(progress_text("vqvae", example(), std::string::npos) ==
          "vqvae 120/1000 12% | loss 0.25 (average 0.3) | nmse 0.2 | grad_norm 1.5 | 12.5 steps/s | 400 img/s | eta "
          "1m11s | data 2% | compute 95% | save 1% | 3.0 MiB");
    Progress early = example();
    early.seconds_left = -1;
    CHECK(progress_text("vqvae", early, std::string::npos).find("eta") == std::string::npos);
    early.seconds_left = 59.97;
    CHECK(progress_text("vqvae", early, std::string::npos).find("eta 1m00s") != std::string::npos);
  }

  TEST_CASE("a narrow terminal loses what matters least, and never a part of a number") {
    const std::string whole = progress_text("vqvae", example(), std::string::npos);
    std::size_t last = whole.size() + 1;
    for (std::size_t width = whole.size(); width >= 14; --width) {
      const std::string text = progress_text("vqvae", example(), width);
      CHECK(text.size() <= width);
      CHECK(text.size() <= last);
      last = text.size();
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(" | ", begin), text.size());
        CHECK_MESSAGE(whole.find(text.substr(begin, end - begin)) != std::string::npos, text);
        begin = end + 3;
      }
      CHECK(text.starts_with("vqvae 120/1000"));
      if (width >= 80) CHECK(text.find("| eta 1m11s") != std::string::npos);
    }
    CHECK(progress_text("vqvae", example(), 80) ==
          "vqvae 120/1000 12% | loss 0.25 (average 0.3) | 400 img/s | eta 1m11s | data 2%");
    CHECK(progress_text("vqvae", example(), 5) == "vqvae");
  }

  TEST_CASE("the average starts as that of all values, and forgets old ones later") {
    MovingAverage average;
    CHECK(average.value() == 0);
    for (const double value : {4.0, 2.0, 6.0}) average.add(value);
    CHECK(average.value() == doctest::Approx(4));
    for (int i = 0; i < 1000; ++i) average.add(1);
    CHECK(average.value() == doctest::Approx(1));
  }

  TEST_CASE("a line of metrics is JSON, and what is not finite is text in it") {
    CHECK(metrics_line(7, "train", {{"loss", 0.5}, {"odd", std::nan("")}, {"more", INFINITY}}) ==
          "{\"step\":7,\"split\":\"train\",\"loss\":0.5,\"odd\":\"nan\",\"more\":\"inf\"}\n");
  }

  TEST_CASE("with --log-format json standard output has each line of metrics.jsonl, and the result last") {
    const TemporaryDirectory folder;
    const std::string run = folder / "run";
    const Program trained = run_program(
        folder.path(), {"train", "vqvae-shapes", "--out", run, "train.steps=3", "train.batch=4", "data.size=8",
                        "data.count=9", "data.test_count=4", "model.hidden=4", "log.every=1", "model.residual_hidden=2",
                        "model.codes=16", "model.code_width=4", "--json", "--log-format", "json"});
    REQUIRE_MESSAGE(trained.exit_code == 0, trained.errors);
    const std::string metrics = read_text_file(Path(run) / "metrics.jsonl", 1 << 20);
    REQUIRE(trained.out.starts_with(metrics));
    CHECK(nlohmann::json::parse(trained.out.substr(metrics.size())).at("step") == 3);
    CHECK(trained.errors.find(" img/s") == std::string::npos);
    CHECK(trained.errors.find("memory ") != std::string::npos);
    CHECK(run_program(folder.path(), {"train", "vqvae-shapes", "--log-format", "xml"}).exit_code == 2);
  }

  TEST_CASE("with --log-format json steps that were spikes are lines on standard output, too") {
    const TemporaryDirectory folder;
    const Program trained =
        run_program(folder.path(), tiny_training(folder / "run", 200, false,
                                                 {"checkpoint.every=1000", "spikes.policy=log", "spikes.deviations=1",
                                                  "--json", "--log-format", "json"}));
    REQUIRE_MESSAGE(trained.exit_code == 0, trained.errors);
    const std::string metrics = read_text_file(folder / "run" / "metrics.jsonl", 1 << 20);
    CHECK(metrics.find("\"split\":\"event\",\"event\":\"spike\"") != std::string::npos);
    REQUIRE(trained.out.starts_with(metrics));
    CHECK(nlohmann::json::parse(trained.out.substr(metrics.size())).at("step") == 200);
  }
}

}  // namespace
}  // namespace gesso
