// The program where memory is short: under `ulimit -v` it trains, or says what is missing and leaves the run as it was.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <filesystem>
#include <string>
#include <utility>

#include "tests/shell.h"
#include "tests/temporary_directory.h"
#include "train/checkpoint.h"

namespace gesso {
namespace {

int exit_code(const Ended& ended) { return WIFEXITED(ended.status) ? WEXITSTATUS(ended.status) : -1; }

TEST_SUITE("out of memory") {
  TEST_CASE("under any ulimit -v the program trains or ends with exit code 5, and its checkpoints stay") {
    const TemporaryDirectory folder;
    const std::string run = (folder.path() / "run").string();
    const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso";
    const auto gesso = [&](std::int64_t kib, const std::string& arguments) {
      const std::string limit = kib == 0 ? "" : fmt::format("ulimit -v {}; ", kib);
      return run_in_shell(fmt::format("{}exec timeout 120 '{}' {}", limit, program, arguments));
    };
    const auto train = [&](std::int64_t kib, const std::string& more) {
      return gesso(kib, fmt::format("train vqvae-shapes --threads 2 --out '{}' {}", run, more));
    };
    const Ended first = train(0, "train.steps=1 train.batch=128 data.count=256 data.test_count=4 sample.count=4");
    REQUIRE_MESSAGE(exit_code(first) == 0, first.text);

    constexpr std::int64_t kMib = 1024;
    std::int64_t saved = 1;  // steps
    int refused = 0;
    bool trained = false;
    for (std::int64_t kib = 24 * kMib; kib < 8192 * kMib; kib += kib / 6) {
      if (exit_code(gesso(kib, "--version")) != 0) continue;  // not even its libraries find room
      const Ended ended = train(kib, fmt::format("--resume train.steps={}", saved + 1));
      INFO("ulimit -v ", kib, ": ", ended.text);
      const std::int64_t before = std::exchange(saved, list_checkpoints(run).back().step);
      trained = exit_code(ended) == 0;
      if (trained) CHECK(saved == before + 1);
      if (trained) break;
      CHECK(saved >= before);
      CHECK(exit_code(ended) == 5);
      CHECK(ended.text.find("memory") != std::string::npos);
      ++refused;
    }
    if (refused == 0 && !trained) {
      MESSAGE("under a sanitizer the program needs more address space than any limit here");
      return;
    }
    CHECK(refused > 2);
    CHECK(trained);
    CHECK(exit_code(train(0, fmt::format("--resume train.steps={}", saved + 1))) == 0);
  }
}

}  // namespace
}  // namespace gesso
