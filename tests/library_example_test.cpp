#include "tests/library_example.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/support.h"
#include "train/files.h"

namespace gesso {
namespace {

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin), to = text.find(end, from + begin.size());
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  return text.substr(from + begin.size(), to - from - begin.size());
}

TEST_SUITE("library_example") {
  TEST_CASE("the example learns") { CHECK(train_a_vqvae(60) < 0.5f * train_a_vqvae(1)); }

  TEST_CASE("the README shows the example that is tested") {
    const Path root = source_directory();
    const std::string example = read_text_file(root / "tests/library_example.h", 1 << 20);
    const std::string readme = read_text_file(root / "README.md", 1 << 20);
    CHECK(between(readme, "```cpp\n", "```") == between(example, "// example begins\n", "// example ends"));
  }
}

}  // namespace
}  // namespace gesso
