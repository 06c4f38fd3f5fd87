// tools/gpu_check: what it makes of what the programs say. They are stood in for by scripts here.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/device.h"
#include "core/error.h"
#include "tests/shell.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/files.h"

namespace gesso {
namespace {

// environment: "NAME=value" assignments for a shell.
Ended run_check(const std::string& programs, const std::string& more, const std::string& environment = "") {
  return run_in_shell(environment + "'" + (source_directory() / "tools/gpu_check").string() + "' --programs '" +
                      programs + "' " + more);
}

constexpr const char* kGesso = R"(case "$*" in
  --version) echo 'gesso "test"' ;;
  *'--op relu'*) ;;
  *) echo '{"ops":3,"cases":4,"checks":50,"failed":0}' ;;
esac
)";

TEST_SUITE("gpu check") {
  TEST_CASE("every check has a row: passed, failed where it counts a failure or ends without a count, or skipped") {
    const TemporaryDirectory folder;
    write_script(folder, "gesso", kGesso);
    write_script(folder, "gesso_tests", R"(case "$*" in
  *'-ts=device instructions'*)
    echo 'probe ldmatrix.x4: failed: 3 of 128 words differ'
    echo 'probe mma.m16n8k16: passed: 128 words'
    echo 'probe mbarrier: skipped: no "Hopper"'
    echo 'gesso_tests: cases=2 failed=1'
    exit 1 ;;
  *'-ts=device steps'*) echo 'suite device steps: 1 cases'; exit 139 ;;
  *'-ts=device runtime'*) echo 'gesso_tests: cases=3 failed=0'; exit 1 ;;
  *'-ts=cuda gemm'*) echo 'gesso_tests: cases=0 failed=0' ;;
  *) echo 'gesso_tests: cases=3 failed=0' ;;
esac
)");
    const Ended ended = run_check(folder.path(), "--device emulated --out '" + (folder / "out").string() + "'");
    CHECK_MESSAGE(WEXITSTATUS(ended.status) == 1, ended.text);
    CHECK(ended.text.find("4 passed, 5 failed, 5 skipped on emulated") != std::string::npos);
    const auto result = nlohmann::json::parse(read_text_file(folder / "out" / "result.json", 1 << 20));
    CHECK(result.at("passed") == 4);
    CHECK(result.at("failed") == 5);
    CHECK(result.at("skipped") == 5);
    CHECK(result.at("version") == "gesso \"test\"");
    CHECK(result.at("gpu").is_null());
    std::map<std::string, std::string> rows;
    for (const auto& check : result.at("checks")) rows[check.at("name")] = check.at("result");
    CHECK(rows == std::map<std::string, std::string>{{"instructions, all", "failed"},
                                                     {"instruction ldmatrix.x4", "failed"},
                                                     {"instruction mma.m16n8k16", "passed"},
                                                     {"instruction mbarrier", "skipped"},
                                                     {"operations", "passed"},
                                                     {"noise as on the CPU", "passed"},
                                                     {"other tests of devices", "passed"},
                                                     {"recorded work", "failed"},
                                                     {"training steps as on the CPU", "failed"},
                                                     {"products of bf16", "failed"},
                                                     {"compute-sanitizer memcheck", "skipped"},
                                                     {"compute-sanitizer racecheck", "skipped"},
                                                     {"compute-sanitizer initcheck", "skipped"},
                                                     {"compute-sanitizer synccheck", "skipped"}});
  }

  TEST_CASE("compute-sanitizer's tools are run where there is one, and what they find fails") {
    const TemporaryDirectory folder;
    write_script(folder, "gesso", kGesso);
    write_script(folder, "gesso_tests", "echo 'gesso_tests: cases=3 failed=0'\n");
    // compute-sanitizer --tool NAME --error-exitcode 9 PROGRAM...
    write_script(folder, "compute-sanitizer", R"(tool=$2
shift 4
"$@"
echo '========= ERROR SUMMARY'
test $tool != racecheck || exit 9
)");
    const Ended ended = run_check(folder.path(), "--out '" + (folder / "out").string() + "'",
                                  "PATH='" + folder.path().string() + "':$PATH ");
    CHECK_MESSAGE(WEXITSTATUS(ended.status) == 1, ended.text);
    for (const char* tool : {"memcheck", "initcheck", "synccheck"})
      CHECK_MESSAGE(ended.text.find(fmt::format("{:<42} passed ", fmt::format("compute-sanitizer {}", tool))) !=
                        std::string::npos,
                    ended.text);
    CHECK(ended.text.find(fmt::format("{:<42} failed ", "compute-sanitizer racecheck")) != std::string::npos);
    CHECK(ended.text.find("10 passed, 1 failed, 0 skipped on cuda") != std::string::npos);
  }

  TEST_CASE("a device that is not there is one error, and programs that are not there are another") {
    try {
      (void)device(DeviceKind::cuda);
      return;  // a machine with a GPU
    } catch (const Error& error) {
      const TemporaryDirectory folder;
      const std::string here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
      const Ended ended = run_check(here, "--out '" + (folder / "out").string() + "'");
      CHECK(WEXITSTATUS(ended.status) == 2);
      CHECK(ended.text == std::string("gesso: ") + error.what() + "\n");
      CHECK_FALSE(std::filesystem::exists(folder / "out"));
      const Ended none = run_check(folder.path(), "");
      CHECK(WEXITSTATUS(none.status) == 2);
      CHECK(none.text.find("gpu_check: there is no " + (folder / "gesso").string()) == 0);
    }
  }
}

}  // namespace
}  // namespace gesso
