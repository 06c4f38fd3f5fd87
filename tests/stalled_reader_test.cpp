// Runs that are watched through a pipe or a terminal which nobody reads.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "tests/small_run.h"
#include "tests/started_program.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/standard_streams.h"

namespace gesso {
namespace {

constexpr int kSavedAndStopped = 75;

// A pipe with a name, held open and read only when asked.
class UnreadPipe {
 public:
  explicit UnreadPipe(Path path) : path_(std::move(path)) {
    REQUIRE(mkfifo(path_.c_str(), 0600) == 0);
    descriptor_ = open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(fcntl(descriptor_, F_SETPIPE_SZ, 8192) >= 8192);  // soon full
  }
  ~UnreadPipe() { close(descriptor_); }
  UnreadPipe(const UnreadPipe&) = delete;
  UnreadPipe& operator=(const UnreadPipe&) = delete;

  const Path& path() const { return path_; }
  bool is_full() const {
    pollfd state{.fd = descriptor_, .events = POLLOUT, .revents = 0};
    return poll(&state, 1, 0) == 0;
  }
  // What lies in it now.
  std::string read_all() {
    std::string text;
    char buffer[8192];
    for (ssize_t got = 0; (got = read(descriptor_, buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<std::size_t>(got));
    return text;
  }

 private:
  Path path_;
  int descriptor_;
};

// Standard error of this very process, elsewhere for as long as this lives.
class OtherErrors {
 public:
  explicit OtherErrors(int descriptor) : before_(dup(STDERR_FILENO)) { dup2(descriptor, STDERR_FILENO); }
  ~OtherErrors() {
    dup2(before_, STDERR_FILENO);
    close(before_);
  }
  OtherErrors(const OtherErrors&) = delete;
  OtherErrors& operator=(const OtherErrors&) = delete;

 private:
  int before_;
};

// What would wait for ever is given up, long after it should have come.
template <class Condition>
bool comes(Condition&& holds) {
  for (int i = 0; i < 60'000 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return holds();
}

bool ends(StartedProgram& program) {
  return comes([&] { return !program.runs(); });
}

std::int64_t newest_checkpoint(const Path& run) {
  const auto all = std::filesystem::exists(run / "checkpoints") ? list_checkpoints(run) : std::vector<Checkpoint>();
  return all.empty() ? 0 : all.back().step;
}

// Waits until `pipe` is full and the run no longer goes on.
void wait_for_standstill(const UnreadPipe& pipe, const Path& run) {
  REQUIRE(comes([&] { return pipe.is_full() && newest_checkpoint(run) > 0; }));
  for (std::int64_t before = -1; before != newest_checkpoint(run);) {
    before = newest_checkpoint(run);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

TEST_SUITE("stalled reader") {
  TEST_CASE("where nobody reads standard error, training goes on, and SIGTERM saves and ends it") {
    const TemporaryDirectory folder;
    UnreadPipe pipe(folder / "errors");
    StartedProgram program(folder / "output", tiny_training(folder / "run", kForever, false, {"log.every=1"}),
                           pipe.path());
    REQUIRE(comes([&] { return pipe.is_full(); }));
    const std::int64_t then = newest_checkpoint(folder / "run");
    CHECK(comes([&] { return newest_checkpoint(folder / "run") > then + 50; }));
    program.send(SIGTERM);
    REQUIRE(ends(program));
    CHECK(program.wait() == kSavedAndStopped);
    const std::string told = pipe.read_all();
    CHECK_MESSAGE(told.ends_with('\n'), told);  // lines are left out whole
  }

  TEST_CASE("where nobody reads the lines that standard output promises, SIGTERM saves and ends the run") {
    const TemporaryDirectory folder;
    UnreadPipe pipe(folder / "lines");
    StartedProgram program(
        pipe.path(),
        tiny_training(folder / "run", kForever, false, {"log.every=1", "--json", "--log-format", "json"}),
        folder / "errors");
    wait_for_standstill(pipe, folder / "run");
    program.send(SIGTERM);
    REQUIRE(ends(program));
    CHECK(program.wait() == kSavedAndStopped);
    CHECK(newest_checkpoint(folder / "run") > 0);
    const std::string metrics = read_text_file(folder / "run" / "metrics.jsonl", 1 << 24), lines = pipe.read_all();
    CHECK(lines.ends_with('\n'));
    CHECK(metrics.starts_with(lines));
    CHECK(metrics.size() > lines.size());
  }

  TEST_CASE("a reader of standard output that comes late gets every line, and the result") {
    const TemporaryDirectory folder;
    UnreadPipe pipe(folder / "lines");
    StartedProgram program(pipe.path(),
                           tiny_training(folder / "run", 60, false, {"log.every=1", "--json", "--log-format", "json"}),
                           folder / "errors");
    wait_for_standstill(pipe, folder / "run");
    CHECK(newest_checkpoint(folder / "run") < 60);
    std::string lines;
    CHECK(comes([&] {
      lines += pipe.read_all();
      return !program.runs();
    }));
    lines += pipe.read_all();
    CHECK(program.wait() == 0);
    const std::string metrics = read_text_file(folder / "run" / "metrics.jsonl", 1 << 24);
    REQUIRE(lines.starts_with(metrics));
    CHECK(nlohmann::json::parse(lines.substr(metrics.size())).at("step") == 60);
  }

  TEST_CASE("a text of any length waits for nobody, on a pipe or a terminal that is full") {
    const TemporaryDirectory folder;
    UnreadPipe pipe(folder / "pipe");
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(master >= 0);
    REQUIRE(grantpt(master) == 0);
    REQUIRE(unlockpt(master) == 0);
    std::mt19937_64 random(test_seed());
    alarm(60);  // ends this program if a write waits
    for (const Path& path : {pipe.path(), Path(ptsname(master))}) {
      const int descriptor = open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
      REQUIRE(descriptor >= 0);
      const OtherErrors errors(descriptor);
      close(descriptor);
      for (int i = 0; i < 2000; ++i) tell(std::string(random() % (i % 10 == 0 ? 20'000 : 300), 'x') + '\n');
    }
    alarm(0);
    close(master);
  }
}

}  // namespace
}  // namespace gesso
