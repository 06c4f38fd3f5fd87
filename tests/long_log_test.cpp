// Logs of any length: read line by line, kept as they are where a run goes on, thinned out for its page.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/files.h"
#include "train/history_text.h"
#include "train/report.h"
#include "train/run_history.h"
#include "train/run_log.h"

namespace gesso {
namespace {

std::uint64_t inode_of(const Path& path) {
  struct stat status {};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_ino;
}

TEST_SUITE("long log") {
  TEST_CASE("a log loses what a run that goes on must not find there, and is left alone where that is nothing") {
    const TemporaryDirectory folder;
    std::mt19937_64 random(test_seed());
    const std::vector<std::string> unreadable = {
        "", "x", "[1]", "{\"step\":-1}", "{\"step\":9,", "{}", "{\"step\":1}" + std::string(70'000, ' ')};
    int left_alone = 0;
    for (int round = 0; round < 200; ++round) {
      const std::int64_t step = static_cast<std::int64_t>(random() % 40);
      std::string text, kept;
      for (std::int64_t i = 0; i < 30; ++i) {
        const bool is_bad = random() % 60 == 0;
        const std::string line =
            is_bad ? unreadable[random() % unreadable.size()] + '\n' : metrics_line(i, "train", {{"loss", 0.5}});
        text += line;
        if (!is_bad && i <= step) kept += line;
      }
      if (random() % 4 == 0) text += "{\"step\":0}";  // torn: its end is missing
      const Path path = folder.write("metrics.jsonl", text);
      const std::uint64_t before = inode_of(path);
      MetricsFile(folder.path(), step).append("{\"step\":99}\n");
      CHECK(read_text_file(path, 1 << 24) == kept + "{\"step\":99}\n");
      if (text != kept) continue;
      CHECK_MESSAGE(inode_of(path) == before, "it was written anew");
      ++left_alone;
    }
    CHECK(left_alone > 5);
  }

  TEST_CASE("a log of more than a gibibyte is gone on with, and has a page") {
    const TemporaryDirectory folder;
    folder.write("config.json", "{}");
    const std::string first = metrics_line(1, "train", {{"loss", 0.5}}), last = metrics_line(2, "train", {{"loss", 1}});
    const Path path = folder.write("metrics.jsonl", first);
    std::filesystem::resize_file(path, std::uintmax_t{1100} << 20);  // a hole: one long line of zeros
    std::ofstream(path, std::ios::app | std::ios::binary) << '\n' << last;
    const RunHistory history = read_history(folder.path());
    REQUIRE(history.series("loss") != nullptr);
    CHECK(history.series("loss")->values == std::vector<double>{0.5, 1});
    CHECK(history.unreadable_lines == 1);
    (void)MetricsFile(folder.path(), 2);
    CHECK(read_text_file(path, 1 << 20) == first + last);
  }

  TEST_CASE("the lines of a file are those of its text, wherever its pieces end") {
    const TemporaryDirectory folder;
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 300; ++round) {
      std::string text;
      const bool has_long = round % 10 == 0;
      for (std::uint64_t i = random() % 40; i > 0; --i)
        text += std::string(random() % (has_long && i % 8 == 0 ? 2 * kMaxLine : 9), "\0x{"[random() % 3]) +
                (random() % 8 == 0 ? "" : "\n");
      const OpenFile file = OpenFile::to_read(posix_file_system(), folder.write("text", text));
      std::vector<std::string> expected, lines;
      each_line(text, [&](std::string_view line) { expected.emplace_back(line.substr(0, kMaxLine + 1)); });
      bool is_torn = false;
      const auto take = [&](const FileLine& line) {
        CHECK_FALSE(is_torn);
        is_torn = !line.is_whole;
        lines.emplace_back(line.text);
      };
      each_line(file, take, has_long ? 1 + random() % (2 * kMaxLine) : 1 + random() % 20);
      CHECK(lines == expected);
      CHECK(is_torn == (!text.empty() && text.back() != '\n'));
    }
  }

  TEST_CASE("of a series with very many values every second goes, and again, and its sum is told of all") {
    constexpr std::int64_t kLines = 1000;
    RunHistory history;
    MetricsReader reader(history, 64);
    for (std::int64_t step = 0; step < kLines; ++step) {
      std::vector<Metric> values = {{"loss", static_cast<double>(step) / 7}, {"seconds", 3}};
      if (step % 100 == 0) values.push_back({kSavesFailed, 1});
      const std::string line = metrics_line(step, "train", values);
      reader.take(std::string_view(line).substr(0, line.size() - 1));
    }
    const Series& loss = *history.series("loss");
    CHECK(loss.lines_a_value == 16);
    REQUIRE(loss.values.size() == 63);
    for (std::size_t i = 0; i < loss.values.size(); ++i) {
      CHECK(loss.steps[i] == static_cast<double>(16 * i));
      CHECK(loss.values[i] == static_cast<double>(16 * i) / 7);
    }
    CHECK(history.series(kSavesFailed)->values.size() == 10);
    CHECK(history.step == kLines - 1);
    const std::string page = report_page(std::vector<RunHistory>{history});
    CHECK(page.find(format_seconds(63 * 16 * 3)) != std::string::npos);
    CHECK(page.find("Of 16 lines of its long metrics.jsonl one is shown.") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
