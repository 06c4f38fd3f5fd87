// gesso as others use it: installed, moved, found by CMake, built upon; and as a part of another project's tree.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support.h"
#include "tests/temporary_directory.h"
#include "train/files.h"

namespace gesso {
namespace {

namespace fs = std::filesystem;

struct Ran {
  int status = -1;
  std::string output;  // both streams
};
Ran run(const std::string& command) {
  Ran ran;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.output.append(buffer, got);
  ran.status = pclose(pipe);
  return ran;
}
std::string run_well(const std::string& command) {
  const Ran ran = run(command);
  REQUIRE_MESSAGE(ran.status == 0, command, "\n", ran.output);
  return ran.output;
}

// Of the build that this program is of.
fs::path build_directory() { return fs::read_symlink("/proc/self/exe").parent_path(); }

// That build, installed and then moved; gone at the end.
class Installation {
 public:
  Installation() : prefix_(folder_ / "moved") {
    run_well(fmt::format("cmake --install {} --prefix {}", build_directory().string(), (folder_ / "made").string()));
    fs::rename(folder_ / "made", prefix_);
  }
  const fs::path& prefix() const { return prefix_; }
  fs::path folder() const { return folder_.path(); }

 private:
  TemporaryDirectory folder_;
  fs::path prefix_;
};
const Installation& installation() {
  static const Installation made;
  return made;
}

std::string configure(const std::string& build, const std::string& option) {
  const fs::path project = source_directory() / "tests/installation";
  return run_well(fmt::format("cmake -G Ninja -S {} -B {} {}", project.string(),
                              (installation().folder() / build).string(), option));
}

// What stands behind each "loss " of the program's output.
std::vector<double> losses(const std::string& output) {
  std::vector<double> values;
  for (std::size_t at = 0; (at = output.find("loss ", at)) != std::string::npos; ++at)
    values.push_back(std::strtod(output.c_str() + at + 5, nullptr));
  return values;
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  return files;
}

TEST_SUITE("installation") {
  TEST_CASE("a project finds an installation, builds on it, trains, and checks an op of its own") {
    configure("user", "-DCMAKE_PREFIX_PATH=" + installation().prefix().string());
    const fs::path user = installation().folder() / "user";
    run_well("cmake --build " + user.string());
    const std::vector<double> loss = losses(run_well((user / "train").string()));
    REQUIRE(loss.size() == 5);
    CHECK(loss.back() < 0.5 * loss.front());
    const std::string own_op = run_well((user / "own_op").string());
    CHECK_MESSAGE(own_op.find("y 1 -8 27") != std::string::npos, own_op);
    CHECK_MESSAGE(own_op.find(" checks, 0 failed") != std::string::npos, own_op);
  }

  TEST_CASE("an installation's CMake files name neither the tree nor the build that they came from") {
    int read = 0;
    for (const fs::path& file : files_below(installation().prefix() / "lib/cmake")) {
      const std::string text = read_text_file(file, 1 << 20);
      CHECK_MESSAGE(text.find(source_directory().string()) == std::string::npos, file.string());
      CHECK_MESSAGE(text.find(build_directory().string()) == std::string::npos, file.string());
      ++read;
    }
    CHECK(read > 0);
  }

  TEST_CASE("installed headers include installed headers only") {
    const fs::path root = installation().prefix() / "include/gesso";
    int includes = 0;
    for (const fs::path& header : files_below(root)) {
      const std::string text = read_text_file(header, 1 << 20), word = "\n#include \"";
      for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++includes) {
        at += word.size();
        const std::string included = text.substr(at, text.find('"', at) - at);
        CHECK_MESSAGE(fs::exists(root / included), header.string(), " includes ", included,
                      ", which is not installed: GESSO_HEADERS in CMakeLists.txt says what is");
      }
    }
    CHECK(includes > 100);
  }

  TEST_CASE("an installed program has the recipes that were installed with it") {
    const fs::path recipes = installation().prefix() / "share/gesso/recipes";
    std::size_t count = 0;
    for (const fs::path& recipe : files_below(source_directory() / "train/recipes")) {
      CHECK(read_text_file(recipes / recipe.filename(), 1 << 20) == read_text_file(recipe, 1 << 20));
      ++count;
    }
    CHECK(count > 0);
    fs::copy_file(recipes / "vqvae-shapes.json", recipes / "of-my-own.json");
    const std::string program = (installation().prefix() / "bin/gesso").string();
    const Ran ran = run(program + " train no-such-recipe --out " + (installation().folder() / "run").string());
    CHECK(ran.status != 0);
    CHECK_MESSAGE(ran.output.find("of-my-own") != std::string::npos, ran.output);
  }

  TEST_CASE("gesso can be a part of another project's tree") {
    configure("part", "-DGESSO_SOURCE=" + source_directory().string());
    const std::string targets = run_well("ninja -C " + (installation().folder() / "part").string() + " -t targets all");
    CHECK(targets.find("libgesso_train.a") != std::string::npos);
    CHECK(targets.find("gesso_tests") == std::string::npos);
  }

  TEST_CASE("the README shows the program that is tested") {
    const std::string readme = read_text_file(source_directory() / "README.md", 1 << 20);
    const std::string program = read_text_file(source_directory() / "tests/installation/train.cpp", 1 << 20);
    CHECK(readme.find("```cpp\n" + program + "```") != std::string::npos);
  }
}

}  // namespace
}  // namespace gesso
