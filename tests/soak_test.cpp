// A run that goes on for very long: what it holds must not grow, and what it writes only with its log.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/started_program.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/checkpoint.h"
#include "train/run_history.h"

namespace gesso {
namespace {

namespace fs = std::filesystem;

// Sanitizers hold what was given back.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif

constexpr std::int64_t kInterval = 100;   // steps between checkpoints, and between lines of the log
constexpr std::int64_t kPictures = 1000;  // steps between pictures

struct Sample {
  std::int64_t step = 0, resident_kib = 0, open_files = 0, event_bytes = 0;
};

std::int64_t resident_kib(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  return 0;
}

std::int64_t event_bytes(const Path& run) {
  std::int64_t bytes = 0;
  for (const std::string& name : list_directory(run))
    if (name.find("tfevents") != std::string::npos) bytes += static_cast<std::int64_t>(fs::file_size(run / name));
  return bytes;
}

// Nothing where the process ends meanwhile.
std::optional<Sample> look_at(const StartedProgram& program, const Path& run) {
  const auto all = list_checkpoints(run);
  if (all.empty()) return std::nullopt;
  std::error_code gone;
  const fs::directory_iterator files(fmt::format("/proc/{}/fd", program.process()), gone);
  if (gone) return std::nullopt;
  const std::int64_t memory = resident_kib(program.process());
  if (memory == 0) return std::nullopt;
  return Sample{all.back().step, memory, std::distance(begin(files), end(files)), event_bytes(run)};
}

// The samples of a part of the steps.
std::vector<Sample> between(const std::vector<Sample>& samples, double from, double to) {
  std::vector<Sample> part;
  std::ranges::copy_if(samples, std::back_inserter(part), [&](const Sample& sample) {
    const auto step = static_cast<double>(sample.step);
    return step > from && step <= to;
  });
  return part;
}

double growth(const Sample& from, const Sample& to, std::int64_t Sample::*what) {
  return static_cast<double>(to.*what - from.*what) / static_cast<double>(to.step - from.step);
}

std::vector<std::string> lines_of(const Path& file) {
  std::vector<std::string> lines;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::size_t bytes_of(std::span<const std::string> lines) {
  std::size_t bytes = 0;
  for (const std::string& line : lines) bytes += line.size() + 1;
  return bytes;
}

TEST_SUITE("soak") {
  TEST_CASE("a long run holds no more memory and files than a short one, and writes no more but its log" *
            doctest::skip(!kMeasuresMemory)) {
    const std::int64_t steps = times("GESSO_TEST_SOAK", 20'000);
    const TemporaryDirectory folder;
    const Path run = folder / "run";
    StartedProgram program(
        folder / "output",
        tiny_training(run, steps, false,
                      {fmt::format("checkpoint.every={}", kInterval), fmt::format("log.every={}", kInterval),
                       fmt::format("sample.every={}", kPictures), "spikes.deviations=1e6"}));
    std::vector<Sample> samples;
    while (program.runs()) {
      if (const auto sample = look_at(program, run)) samples.push_back(*sample);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    REQUIRE_MESSAGE(program.wait() == 0, read_text_file(folder / "output", 1 << 28));

    const auto all = static_cast<double>(steps);
    const std::vector<Sample> early = between(samples, 0.1 * all, 0.2 * all),
                              late = between(samples, 0.85 * all, 0.95 * all);
    REQUIRE(early.size() > 10);
    REQUIRE(late.size() > 10);
    const auto most = [](const std::vector<Sample>& part) {
      return std::ranges::max(part, {}, &Sample::resident_kib).resident_kib;
    };
    const auto fewest = [](const std::vector<Sample>& part) {
      return std::ranges::min(part, {}, &Sample::open_files).open_files;
    };
    MESSAGE(steps, " steps: ", most(early), " KiB resident early, ", most(late), " KiB late; ", fewest(early),
            " open files, then ", fewest(late), "; ", growth(early.front(), late.back(), &Sample::event_bytes),
            " bytes of events a step");
    CHECK(100 * most(late) < 101 * most(early));
    CHECK(fewest(late) == fewest(early));
    const double begin = growth(early.front(), between(samples, 0, 0.5 * all).back(), &Sample::event_bytes);
    const double end = growth(between(samples, 0.5 * all, all).front(), late.back(), &Sample::event_bytes);
    CHECK(end == doctest::Approx(begin).epsilon(0.2));

    const std::vector<std::string> lines = lines_of(run / kMetricsFile);
    CHECK(std::ssize(lines) == steps / kInterval);
    const std::span half = std::span(lines).first(lines.size() / 2), rest = std::span(lines).last(lines.size() / 2);
    CHECK(static_cast<double>(bytes_of(rest)) == doctest::Approx(static_cast<double>(bytes_of(half))).epsilon(0.2));
    CHECK(list_directory(run / "checkpoints").size() == 2);
    CHECK(lines_of(run / kStartsFile).size() == 1);
  }
}

}  // namespace
}  // namespace gesso
