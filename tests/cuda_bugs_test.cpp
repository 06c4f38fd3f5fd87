// Planted mistakes: what of them shows in plain programs under each schedule, and that the checker names every line.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tests/cuda/bugs.h"
#include "tests/emulated_device.h"
#include "tests/support.h"

namespace gesso {
namespace {

constexpr std::array kOrders = {emulator::Order::fifo, emulator::Order::lifo, emulator::Order::random};

// How a mistake shows: not at all, in the result, as an error.
enum class Shows { no, wrong, error };
using enum Shows;

struct Expectation {
  std::string_view name;
  std::array<Shows, 3> plain;  // by order
  Shows checked;
  std::string_view words;  // of the checker's error
};

constexpr Expectation kBlockBugs[] = {
    {"none", {no, no, no}, no, ""},
    {"missing_barrier", {wrong, wrong, wrong}, error, "shared memory"},
    {"missing_barrier_before_reuse", {no, no, no}, error, "race in shared memory"},
    {"missing_syncwarp", {wrong, wrong, wrong}, error, "shared memory"},
    {"wait_too_weak", {wrong, wrong, wrong}, error, "unfinished asynchronous copy"},
    {"never_committed", {error, error, error}, error, "unfinished asynchronous copy"},
    {"never_waited", {error, error, error}, error, "cp.async never waited for"},
    {"overwritten_by_copy", {no, no, no}, error, "shared memory"},
    {"divergent_barrier", {error, error, error}, error, "divergent barrier"},
    {"barrier_in_branch", {error, error, error}, error, ""},
    {"early_return", {error, error, error}, error, "return"},
    {"shuffle_without_a_lane", {error, error, error}, error, "__shfl_xor_sync"},
    {"shuffle_outside_its_mask", {error, error, error}, error, "not in its own mask"},
    {"shared_too_small", {error, error, error}, error, "out of bounds: 4 bytes at byte 508 of 'tile'"},
    {"dynamic_shared_too_small", {error, error, error}, error, "out of bounds: 4 bytes at byte 508 of dynamic"},
    {"too_much_static_shared", {error, error, error}, error, "52000 bytes"},
    {"shared_never_written", {wrong, wrong, wrong}, error, "nothing wrote: byte 512 of 'tile'"},
    {"read_past_the_end", {wrong, wrong, wrong}, error, "read of 4 bytes outside any allocation"},
    {"write_past_the_end", {error, error, error}, error, "write of 4 bytes outside any allocation"},
    {"misaligned_vector", {error, error, error}, error, "misaligned"},
    {"misaligned_pointer", {wrong, wrong, wrong}, error, "misaligned"},
    {"blocks_write_the_same", {wrong, wrong, wrong}, error, "race in device memory"},
    {"blocks_exchange", {wrong, wrong, wrong}, error, "race in device memory"},
    {"lost_update", {wrong, wrong, wrong}, error, "race in device memory"},
    {"host_pointer", {no, no, no}, error, "touches host memory"},
    {"output_never_written", {wrong, wrong, wrong}, wrong, ""},
};

constexpr Expectation kPipelineBugs[] = {
    {"none", {no, no, no}, no, ""},
    {"empty counts 2, one arrives", {error, error, error}, error, "deadlock"},
    {"no barrier after the barriers' initialisation", {no, error, error}, error, ""},
    {"producer never waits for empty", {error, error, error}, error, ""},
    {"producer waits for the wrong parity", {error, error, error}, error, "deadlock"},
    {"tile not aligned to 128 bytes", {error, error, error}, error, "not 128-byte aligned"},
    {"half of the bytes expected", {error, error, error}, error, ""},
    {"consumer never waits for full", {error, error, no}, error, "nothing wrote"},
    {"consumer's parity never flips", {error, error, error}, error, ""},
    {"wrong step of a descriptor", {wrong, wrong, wrong}, wrong, ""},
    {"stage released before wgmma has read it", {no, no, no}, error, "race in shared memory"},
    {"accumulators read before the wait", {wrong, wrong, wrong}, error, "race in shared memory"},
};

// The lines of a file that hold `bug: ` and, after it, the word.
std::vector<int> tagged_lines(const std::string& file, const std::string& word) {
  std::ifstream stream(source_directory() / "tests/cuda" / file);
  REQUIRE(stream);
  std::vector<int> lines;
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    const auto tag = line.find("// bug: ");
    if (tag != std::string::npos && (line.substr(tag + 7) + " ").find(" " + word + " ") != std::string::npos)
      lines.push_back(number);
  }
  return lines;
}

struct Seen {
  Shows shows = no;
  std::string text;  // of the error
};

// launch() writes `y`, whose release may tell of an error too; is_right looks at the result.
template <class T, class Launch, class IsRight>
Seen attempt(EmulatedMemory<T>& y, Launch launch, IsRight is_right) {
  Seen seen;
  try {
    launch();
    if (!is_right(y.to_host())) seen.shows = wrong;
  } catch (const Error& thrown) {
    seen = {error, thrown.what()};
  }
  try {
    y.release();
  } catch (const Error& thrown) {
    if (seen.shows != error) seen = {error, thrown.what()};
  }
  return seen;
}

bool names_line(const std::string& text, const std::string& file, int line) {
  const std::string place = fmt::format(" at {}:{}", file, line);
  for (auto found = text.find(place); found != std::string::npos; found = text.find(place, found + 1))
    if (!std::isdigit(static_cast<unsigned char>((text + " ")[found + place.size()]))) return true;
  return false;
}

void compare(const Expectation& expected, std::size_t order, const Seen& seen, const std::string& file,
             const std::string& tag) {
  CAPTURE(expected.name);
  CAPTURE(order);
  CAPTURE(seen.text);
  if (!emulator::is_checked()) {
    CHECK(static_cast<int>(seen.shows) == static_cast<int>(expected.plain[order]));
    return;
  }
  CHECK(static_cast<int>(seen.shows) == static_cast<int>(expected.checked));
  if (expected.checked != error) return;
  CHECK(seen.text.find(expected.words) != std::string::npos);
  const auto lines = tagged_lines(file, tag);
  CHECK(std::any_of(lines.begin(), lines.end(), [&](int line) { return names_line(seen.text, file, line); }));
}

Seen try_block_bug(const bugs::Bug& bug) {
  constexpr int kCount = 2 * bugs::kBlock;
  std::vector<float> values;
  for (int i = 1; i <= kCount; ++i) values.push_back(static_cast<float>(i));
  const EmulatedMemory<float> x(values);
  EmulatedMemory<float> y(kCount);
  for (auto block = values.begin(); block != values.end(); block += bugs::kBlock)
    std::reverse(block, block + bugs::kBlock);
  return attempt(
      y, [&] { bug.run(nullptr, x.data(), y.data(), kCount); },
      [&](const std::vector<float>& result) { return result == values; });
}

Seen try_pipeline_bug(int number) {
  constexpr int kDepth = 512, kRows = 128, kOutRows = 64;
  std::mt19937 random(1);
  std::uniform_int_distribution<int> digit(-3, 3);  // sums are exact
  std::vector<bf16> a;
  for (int i = 0; i < kRows * kDepth; ++i) a.emplace_back(static_cast<float>(digit(random)));
  const auto at = [&](int row, int k) { return static_cast<float>(a[static_cast<std::size_t>(row * kDepth + k)]); };
  const EmulatedMemory<bf16> device_a(a);
  EmulatedMemory<float> c(kOutRows * kRows);
  const auto is_right = [&](const std::vector<float>& result) {
    for (int i = 0; i < kOutRows * kRows; ++i) {
      float sum = 0;
      for (int k = 0; k < kDepth; ++k) sum += at(i / kRows, k) * at(i % kRows, k);
      if (result[static_cast<std::size_t>(i)] != sum) return false;
    }
    return true;
  };
  return attempt(
      c, [&] { bugs::run_pipeline(nullptr, device_a.data(), c.data(), kDepth, number); }, is_right);
}

TEST_SUITE("cuda bugs") {
  TEST_CASE("mistakes in a block show as they should, and the checker names the line") {
    const KeepOptions keep;
    const auto bugs = bugs::block_bugs();
    REQUIRE(bugs.size() == std::size(kBlockBugs));
    for (std::size_t order = 0; order < kOrders.size(); ++order) {
      emulator::options().threads = emulator::options().blocks = kOrders[order];
      for (std::size_t i = 0; i < bugs.size(); ++i) {
        REQUIRE(bugs[i].name == kBlockBugs[i].name);
        compare(kBlockBugs[i], order, try_block_bug(bugs[i]), "bugs.cu", bugs[i].name);
      }
    }
  }

  TEST_CASE("mistakes in a pipeline of copies and wgmma show as they should, and the checker names the line") {
    const KeepOptions keep;
    const auto bugs = bugs::pipeline_bugs();
    REQUIRE(bugs.size() == std::size(kPipelineBugs));
    for (std::size_t order = 0; order < kOrders.size(); ++order) {
      emulator::options().threads = emulator::options().blocks = kOrders[order];
      for (std::size_t i = 0; i < bugs.size(); ++i) {
        REQUIRE(bugs[i].name == kPipelineBugs[i].name);
        const int number = bugs[i].number;
        compare(kPipelineBugs[i], order, try_pipeline_bug(number), "pipeline_bugs.cu", std::to_string(number));
      }
    }
  }
}

}  // namespace
}  // namespace gesso
