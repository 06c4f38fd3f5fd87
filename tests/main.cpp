// The test program: doctest's own options, `--seed N`, `--device NAME`, and the count of what ran, by suite.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <string_view>

#include "core/error.h"
#include "cuda/devices.h"
#include "tests/support.h"
#include "tests/temporary_directory.h"

namespace gesso {
namespace {

constexpr const char* kSeedVariable = "GESSO_TEST_SEED";
constexpr const char* kDeviceVariable = "GESSO_TEST_DEVICE";

struct Count {
  int cases = 0;
  int failed = 0;
};

// Prints one line a suite and one last line that tools/test reads.
class SuiteCounter : public doctest::IReporter {
 public:
  explicit SuiteCounter(const doctest::ContextOptions&) {}

  void test_case_start(const doctest::TestCaseData& test) override { suite_ = test.m_test_suite; }
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    Count& count = counts_[suite_.empty() ? "(no suite)" : suite_];
    ++count.cases;
    if (!stats.testCaseSuccess) ++count.failed;
  }
  void test_run_end(const doctest::TestRunStats&) override {
    Count sum;
    for (const auto& [suite, count] : counts_) {
      fmt::print("suite {}: {} cases, {} failed\n", suite, count.cases, count.failed);
      sum.cases += count.cases;
      sum.failed += count.failed;
    }
    fmt::print("gesso_tests: cases={} failed={}\n", sum.cases, sum.failed);
    std::fflush(stdout);
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

 private:
  std::string suite_;
  std::map<std::string, Count> counts_;
};

std::uint64_t parse_seed() {
  const char* text = std::getenv(kSeedVariable);
  const std::string_view digits = text ? text : "1";
  std::uint64_t seed = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), seed);
  if (problem != std::errc{} || end != digits.data() + digits.size())
    fail("test seed: '{}' is not a whole number; give one with --seed N or {}=N", digits, kSeedVariable);
  return seed;
}

// Child processes of a test inherit seed and device through the environment.
void take_options(int argc, char** argv) {
  for (const auto& [option, variable, example] :
       {std::array{"--seed", kSeedVariable, "7"}, std::array{"--device", kDeviceVariable, "cuda"}})
    for (int i = 1; i < argc; ++i) {
      if (std::string_view(argv[i]) != option) continue;
      if (i + 1 == argc) fail("gesso_tests: {0} needs a value, as in {0} {1}", option, example);
      setenv(variable, argv[i + 1], 1);
    }
}

int run(int argc, char** argv) {
  take_options(argc, argv);
  parse_seed();  // refuses a bad one before any test runs
  register_cuda_devices();
  if (std::getenv(kDeviceVariable)) (void)device(test_device());  // so does this: a device that is not there
  const TemporaryDirectory cache;                                 // tests leave nothing in the user's own
  setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  doctest::registerReporter<SuiteCounter>("suites", 0, /*isReporter=*/false);
  doctest::Context context(argc, argv);
  return context.run();
}

}  // namespace

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const std::uint64_t parsed = parse_seed();
    fmt::print("test seed {} (repeat with --seed {})\n", parsed, parsed);
    return parsed;
  }();
  return seed;
}

DeviceKind test_device() {
  const char* name = std::getenv(kDeviceVariable);
  const DeviceKind kind = name ? device_kind(name) : DeviceKind::emulated;
  if (kind != DeviceKind::cuda && kind != DeviceKind::emulated)
    fail("test device: {} does not run the kernels; take cuda or emulated", name);
  return kind;
}

}  // namespace gesso

int main(int argc, char** argv) {
  try {
    return gesso::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
