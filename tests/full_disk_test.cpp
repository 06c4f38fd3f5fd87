// Disks that are full, not only said to be: /dev/full, and a small tmpfs.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <numeric>
#include <sstream>

#include "tests/faulty_file_system.h"
#include "tests/own_process.h"
#include "tests/program.h"
#include "tests/small_run.h"
#include "tests/started_program.h"
#include "tests/temporary_directory.h"
#include "tests/tiny_training.h"
#include "train/run_history.h"

namespace gesso {
namespace {

// The real one, but what is written to one file of every second checkpoint goes to /dev/full.
class FullDevice final : public FaultyFileSystem {
 public:
  FullDevice() : FaultyFileSystem(posix_file_system(), {.call = INT64_MAX}) {}

  int refused = 0;
  IoResult create_file(const Path& path) override {
    if (path.filename() != "state.safetensors" || ++files_ % 2 == 1) return FaultyFileSystem::create_file(path);
    ++refused;
    return {.value = open("/dev/full", O_WRONLY | O_CLOEXEC)};
  }

 private:
  int files_ = 0;
};

// $1: the program; $2: a folder; the other words train into $2/disk/run. Prints the exit code of that run, that of one
// that goes on where the disk is full, how many checkpoints there are, and the exit code of one that goes on with room.
constexpr const char* kScript = R"(set -eu
gesso=$1 folder=$2
shift 2
mkdir "$folder/disk"
mount -t tmpfs -o size=2m none "$folder/disk"
train() { code=0; "$gesso" "$@" >>"$folder/output" 2>&1 || code=$?; echo $code; }
train "$@"
train train vqvae-shapes --out "$folder/disk/run" --resume
ls "$folder/disk/run/checkpoints" | wc -l
mount -o remount,size=8m "$folder/disk"
train train vqvae-shapes --out "$folder/disk/run" --resume checkpoint.keep=1
cp -r "$folder/disk/run" "$folder/run"
)";

// $1, $2 and the other words as above, training in $2/run. Until step 3 is logged, what would go to standard output
// lies above the limit on the size of files, as no other file does. Prints the exit code.
constexpr const char* kRefusedForAWhile = R"(set -eu
gesso=$1 folder=$2
shift 2
truncate -s 8M "$folder/lines"
( ulimit -S -f 8192; exec "$gesso" "$@" >>"$folder/lines" 2>"$folder/errors" ) &
until grep -q "\"step\":3," "$folder/run/metrics.jsonl"; do kill -0 $!; sleep 0.02; done 2>/dev/null
prlimit --pid $! --fsize=unlimited:
code=0; wait $! || code=$?; echo $code
)";

std::string program_path() { return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gesso"; }

TEST_SUITE("full disk") {
  TEST_CASE("where /dev/full takes every second save, training goes on to the same bits") {
    const TemporaryDirectory folder;
    const std::vector<std::string> more = {"train.steps=30", "checkpoint.every=3", "checkpoint.keep=0"};
    (void)train_small(more, {.directory = folder / "whole"});
    FullDevice files;
    CHECK(train_small(more, {.directory = folder / "run", .files = &files}).step == 30);
    CHECK(files.refused > 3);
    CHECK(list_checkpoints(folder / "run").size() > 3);
    const RunHistory run = read_history(folder / "run");
    const Series* failed = run.series(kSavesFailed);
    REQUIRE(failed != nullptr);
    CHECK(std::accumulate(failed->values.begin(), failed->values.end(), 0.0) > 2);
    CHECK(read_history(folder / "whole").series(kSavesFailed) == nullptr);
    CHECK(state_files(folder / "run") == state_files(folder / "whole"));
  }

  TEST_CASE("a limit on the size of files fails saves, and ends no training before its last one") {
    const TemporaryDirectory folder;
    const std::string words =
        fmt::format("{}", fmt::join(tiny_training(folder / "run", 5, false, {"model.hidden=64"}), " "));
    const OwnProcess done = run_command(fmt::format("ulimit -f 64; {} {}", program_path(), words));
    CHECK(WEXITSTATUS(done.status) == static_cast<int>(ErrorKind::io));
    CHECK_MESSAGE(done.output.find("step 5, the last one, could not be saved") != std::string::npos, done.output);
    CHECK_MESSAGE(done.output.find("File too large") != std::string::npos, done.output);
  }

  TEST_CASE("where those who watch have left, training goes on") {
    const TemporaryDirectory folder;
    const std::string words = fmt::format("{}", fmt::join(tiny_training(folder / "run", 5, false), " "));
    const OwnProcess done =
        run_command(fmt::format("(sleep 0.3; {} {} 2>&1 >'{}'; echo $? >'{}') | true; cat '{}'", program_path(), words,
                                (folder / "out").string(), (folder / "code").string(), (folder / "code").string()));
    REQUIRE(done.output == "0\n");
    CHECK(list_checkpoints(folder / "run").back().step == 5);
  }

  TEST_CASE("where nobody can be told, training goes on, and the exit code says that results were not written") {
    const TemporaryDirectory folder;
    StartedProgram program("/dev/full", tiny_training(folder / "run", 5, false));
    CHECK(program.wait() == static_cast<int>(ErrorKind::io));
    CHECK(list_checkpoints(folder / "run").back().step == 5);
  }

  TEST_CASE("what is said where a standard stream is closed goes into no file of the run") {
    const TemporaryDirectory folder;
    for (const std::string closed : {"2>&-", ">&- 2>&-", "<&- >&- 2>&-"}) {
      const Path run = folder / fmt::format("run{}", closed.size());
      const auto words = tiny_training(run, 5, false, {"log.every=1"});
      const OwnProcess done =
          run_command(fmt::format("({} {} {}; echo $? >'{}') 2>&1; cat '{}'", program_path(), fmt::join(words, " "),
                                  closed, (folder / "code").string(), (folder / "code").string()));
      CHECK_MESSAGE(done.output.ends_with(closed == "2>&-" ? "0\n" : "6\n"), done.output);
      const std::string lines = read_text_file(run / "metrics.jsonl", 1 << 20);
      CHECK_MESSAGE(std::ranges::count(lines, '\n') == 5, lines);
      CHECK(read_text_file(run / "lock", 1 << 20).size() < 100);
    }
  }

  TEST_CASE("where standard output refuses lines for a while, the exit code says that results are missing") {
    const TemporaryDirectory folder;
    const auto words =
        tiny_training(folder / "run", 1500, false, {"checkpoint.every=1000000", "log.every=1", "--log-format", "json"});
    const OwnProcess done = run_command(fmt::format("sh -c '{}' sh {} {} {}", kRefusedForAWhile, program_path(),
                                                    folder.path().string(), fmt::join(words, " ")));
    CHECK_MESSAGE(done.output == "6\n", done.output);
    CHECK(list_checkpoints(folder / "run").back().step == 1500);
    const std::string lines = read_text_file(folder / "lines", 1 << 26);
    CHECK_MESSAGE(lines.find("\"step\":1500,") != std::string::npos, "it was not for a while only");
    CHECK(lines.find("\"step\":1,") == std::string::npos);
    const std::string told = read_text_file(folder / "errors", 1 << 20);
    CHECK_MESSAGE(told.find("cannot write the results to standard output") != std::string::npos, told);
  }

  TEST_CASE("a run that is stopped and saved says so, although its results were not written") {
    const TemporaryDirectory folder;
    StartedProgram program("/dev/full", tiny_training(folder / "run", kForever, false), folder / "errors");
    while (!std::filesystem::exists(folder / "run" / "checkpoints") || list_checkpoints(folder / "run").empty())
      REQUIRE(program.runs());
    CHECK(program.end(SIGTERM) == 75);
    const std::string told = read_text_file(folder / "errors", 1 << 20);
    CHECK_MESSAGE(told.find("cannot write the results to standard output") != std::string::npos, told);
  }

  TEST_CASE("a run fills a small tmpfs, and goes on from what it saved when there is room") {
    const TemporaryDirectory folder;
    if (run_command("unshare -rm true").status != 0) {
      MESSAGE("not tried: here nobody but the administrator mounts a tmpfs");
      return;
    }
    constexpr std::int64_t kSteps = 60;
    const auto words = tiny_training(folder / "disk" / "run", kSteps, false, {"checkpoint.keep=0", "log.every=10"});
    const OwnProcess done = run_command(fmt::format("unshare -rm sh -c '{}' sh {} {} {}", kScript, program_path(),
                                                    folder.path().string(), fmt::join(words, " ")));
    INFO(done.output);
    std::istringstream codes(done.output);
    int filling = -1, still_full = -1, saved = -1, with_room = -1;
    codes >> filling >> still_full >> saved >> with_room;
    CHECK(filling == static_cast<int>(ErrorKind::io));
    CHECK(still_full == static_cast<int>(ErrorKind::io));
    CHECK(saved >= 3);
    CHECK(saved < kSteps);
    CHECK(with_room == 0);
    const std::string told = read_text_file(folder / "output", 1 << 20);
    CHECK_MESSAGE(told.find("No space left on device; the last checkpoint is") != std::string::npos, told);
    CHECK_MESSAGE(told.find("step 60, the last one, could not be saved") != std::string::npos, told);
    CHECK(run_program(folder.path(), tiny_training(folder / "whole", kSteps, false)).exit_code == 0);
    CHECK(state_files(folder / "run") == state_files(folder / "whole"));
  }
}

}  // namespace
}  // namespace gesso
