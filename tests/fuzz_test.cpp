// The targets of tools/fuzz without its fuzzer: what they start from, and a few changes of each, on every machine and
// under every sanitizer.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/expect_error.h"
#include "tests/fuzz_targets.h"
#include "tests/support.h"

namespace gesso {
namespace {

// Flipped, cut, repeated, overwritten, and joined with others.
std::string changed(std::string text, const std::vector<std::string>& others, std::mt19937_64& random) {
  for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
    const std::size_t at = random() % (text.size() + 1), size = random() % (text.size() - at + 1);
    switch (random() % 6) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text.insert(at, text.substr(at, size));
        break;
      case 2:
        text.erase(at, size);
        break;
      case 3:
        text = text.substr(0, at) + others[random() % others.size()];
        break;
      case 4:
        if (at < text.size()) text[at] = "\0\xFF\x7F\x80"[random() % 4];
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ 1 << random() % 8);
    }
  }
  return text;
}

void run(const FuzzTarget& target, const std::string& text) { target.run(std::as_bytes(std::span(text))); }

TEST_SUITE("fuzz") {
  TEST_CASE("every reader keeps its promises on what the fuzzer starts from, and on changes of it") {
    std::mt19937_64 random(test_seed());
    for (const FuzzTarget& target : fuzz_targets()) {
      INFO(target.name);
      const std::vector<std::string> seeds = target.seeds();
      CHECK(seeds.size() >= 3);
      for (std::size_t i = 0; i < seeds.size(); ++i) {
        INFO("seed ", i);
        CHECK_NOTHROW(run(target, seeds[i]));
      }
      for (int round = 0; round < 400; ++round) {
        const std::string text = changed(seeds[random() % seeds.size()], seeds, random);
        INFO("round ", round);
        CHECK_NOTHROW(run(target, text));
      }
    }
  }

  TEST_CASE("a target that there is not is refused with those that there are") {
    expect_error(ErrorKind::usage, {"no target jpg", "safetensors", "jpeg"}, [] { fuzz_target("jpg"); });
  }
}

}  // namespace
}  // namespace gesso
