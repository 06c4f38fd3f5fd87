// The floors of the house: reads every include of the tree and reports the arrows that point upward.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "tests/support.h"

namespace gesso {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kFloors = {"core", "ops", "cuda", "nn", "models", "train", "tools"};

// ops does not know its CUDA kernels; these know the attributes of ops. Devices are joined in tools, by the one header
// for it, so nothing between knows cuda either. path: what is included; to: its floor.
bool may_include(std::string_view from, std::string_view to, std::string_view path) {
  if (to == from) return true;
  if (to == "cuda") return from == "tools" && path == "cuda/devices.h";
  const auto height = [](std::string_view floor) { return std::find(kFloors.begin(), kFloors.end(), floor); };
  return height(to) < height(from);
}

struct Layering {
  int includes = 0;
  std::vector<std::string> faults;  // one sentence each, with file and line
};

// The path between the quotes of an #include line.
std::optional<std::string> quoted_include(std::string_view line) {
  const auto skip_spaces = [&line] { line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size())); };
  skip_spaces();
  for (const std::string_view word : {"#", "include", "\""}) {
    if (!line.starts_with(word)) return std::nullopt;
    line.remove_prefix(word.size());
    if (word != "\"") skip_spaces();
  }
  return std::string(line.substr(0, line.find('"')));
}

void check_file(const fs::path& file, std::string_view floor, Layering& result) {
  std::ifstream stream(file);
  if (!stream) fail(ErrorKind::io, "layering: cannot read {}", file.string());
  std::string line;
  for (int number = 1; std::getline(stream, line); ++number) {
    const auto included = quoted_include(line);
    if (!included) continue;
    ++result.includes;
    const std::string target = fs::path(*included).lexically_normal().begin()->string();
    const std::string place = fmt::format("{}:{} includes \"{}\"", file.string(), number, *included);
    if (std::find(kFloors.begin(), kFloors.end(), target) == kFloors.end())
      result.faults.push_back(fmt::format("{}, which is no path from the root into one of {}", place, kFloors));
    else if (!may_include(floor, target, *included))
      result.faults.push_back(fmt::format("{}: {} must not know {}", place, floor, target));
  }
}

// Checks every source of every floor below `root`; tests/ may include all.
Layering check_layering(const fs::path& root) {
  Layering result;
  for (const std::string_view floor : kFloors) {
    if (!fs::exists(root / floor)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / floor)) {
      const auto extension = entry.path().extension();
      if (extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh")
        check_file(entry.path(), floor, result);
    }
  }
  return result;
}

// The first #include of a file, as it stands there; empty where there is none.
std::string first_include(const fs::path& file) {
  std::ifstream stream(file);
  if (!stream) fail(ErrorKind::io, "layering: cannot read {}", file.string());
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with("#include")) return line;
  return {};
}

// A tree of one file that is gone with the object.
class PlantedTree {
 public:
  PlantedTree(const fs::path& file, std::string_view text) {
    std::string name = (fs::temp_directory_path() / "gesso-layering-XXXXXX").string();
    if (!mkdtemp(name.data())) fail(ErrorKind::io, "layering: cannot make a folder {}", name);
    root_ = name;
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  ~PlantedTree() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  PlantedTree(const PlantedTree&) = delete;
  PlantedTree& operator=(const PlantedTree&) = delete;
  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

struct Planted {
  const char* file;
  const char* text;
  const char* words;  // of the report; empty: the include is allowed
};

constexpr Planted kPlanted[] = {
    {"core/tensor.cpp", "#include \"nn/layers.h\"\n", "core must not know nn"},
    {"core/tensor.h", "#pragma once\n #  include \"ops/op.h\"  // why\n", "tensor.h:2 includes \"ops/op.h\": core"},
    {"models/deep/vqvae.cpp", "#include \"train/trainer.h\"\n", "models must not know train"},
    {"train/trainer.cpp", "#include \"tools/options.h\"\n", "train must not know tools"},
    {"ops/conv2d.cpp", "#include \"cuda/conv2d.h\"\n", "ops must not know cuda"},
    {"train/step.cpp", "#include \"cuda/runtime.h\"\n", "train must not know cuda"},
    {"cuda/conv2d.cu", "#include \"nn/layers.h\"\n", "cuda must not know nn"},
    {"core/shape.cpp", "#include \"core/../nn/layers.h\"\n", "core must not know nn"},
    {"nn/layers.cpp", "#include \"layers.h\"\n", "no path from the root"},
    {"tools/gesso.cpp", "#include \"tests/support.h\"\n", "no path from the root"},
    {"tools/gesso.cpp", "#include \"cuda/devices.h\"\n", ""},
    {"tools/gesso.cpp", "#include \"cuda/device.h\"\n", "tools must not know cuda"},
    {"cuda/conv2d.cu", "#include \"ops/conv2d.h\"\n", ""},
    {"train/trainer.cpp", "#include \"core/error.h\"\n", ""},
    {"nn/layers.cpp", "#include \"nn/layers.h\"\n", ""},
};

TEST_SUITE("layering") {
  TEST_CASE("no include of the tree points upward") {
    const Layering tree = check_layering(source_directory());
    CHECK(tree.includes > 0);
    for (const std::string& fault : tree.faults) FAIL_CHECK(fault);
  }

  // So a header that leans on what others include before it does not compile.
  TEST_CASE("every source includes the header of its name first") {
    int checked = 0;
    for (const std::string_view floor : kFloors) {
      if (!fs::exists(source_directory() / floor)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(source_directory() / floor)) {
        const fs::path header = fs::path(entry.path()).replace_extension(".h");
        if (entry.path().extension() != ".cpp" || !fs::exists(header)) continue;
        ++checked;
        const std::string own = fmt::format("#include \"{}\"", fs::relative(header, source_directory()).string());
        CHECK_MESSAGE(first_include(entry.path()) == own, entry.path().string());
      }
    }
    CHECK(checked > 0);
  }

  TEST_CASE("a planted upward include is reported, a downward one is not") {
    for (const Planted& planted : kPlanted) {
      CAPTURE(planted.file);
      CAPTURE(planted.text);
      const PlantedTree tree(planted.file, planted.text);
      const Layering result = check_layering(tree.root());
      CHECK(result.includes == 1);
      const bool expected = *planted.words != '\0';
      REQUIRE(result.faults.size() == (expected ? 1 : 0));
      if (expected) CHECK_MESSAGE(result.faults[0].find(planted.words) != std::string::npos, result.faults[0]);
    }
  }
}

}  // namespace
}  // namespace gesso
