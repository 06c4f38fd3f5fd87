// Kernels compiled for an instruction set must not define a symbol that other code could share: the linker keeps one
// copy of an inline function, and if that is the AVX-512 one, a lesser machine dies of it far from here.
#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace gesso {
namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
  std::string text;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, got);
  return pclose(pipe) == 0 ? text : std::string();
}

// The names in the output of nm that are defined for all to see and do not carry the tag.
std::vector<std::string> shared_symbols(const std::string& nm_output, const std::string& tag) {
  std::vector<std::string> shared;
  std::istringstream lines(nm_output);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(line.rfind(' ') + 1);
    // DW.ref: a pointer that the compiler adds for unwinding; no code.
    if (name.empty() || name.starts_with("DW.ref.")) continue;
    if (name.find(tag) == std::string::npos) shared.push_back(name);
  }
  return shared;
}

TEST_SUITE("symbols") {
  TEST_CASE("a symbol without its instruction set's tag is recognised") {
    const std::string lines =
        "0000000000000000 T _ZN5gesso10simd_probeINS_4simd4Avx2EEERKNS_9SimdProbeEv\n"
        "0000000000000000 W _ZSt3maxIfERKT_S2_S2_\n"
        "0000000000000000 V DW.ref.__gxx_personality_v0\n";
    CHECK(shared_symbols(lines, "4Avx2") == std::vector<std::string>{"_ZSt3maxIfERKT_S2_S2_"});
    CHECK(shared_symbols(lines, "6Avx512").size() == 2);
  }

  TEST_CASE("no object compiled for an instruction set defines a symbol without its tag") {
    if (output_of("nm --version 2>/dev/null").empty()) {
      MESSAGE("skipped: there is no nm (package binutils) to read the objects with");
      return;
    }
    const fs::path objects = fs::read_symlink("/proc/self/exe").parent_path() / "CMakeFiles";
    REQUIRE(fs::is_directory(objects));
    int seen = 0;
    for (const auto& entry : fs::recursive_directory_iterator(objects)) {
      const std::string path = entry.path().string();
      if (!path.ends_with(".cpp.o")) continue;
      const bool is_avx2 = path.find("_avx2.dir/") != std::string::npos;
      if (!is_avx2 && path.find("_avx512.dir/") == std::string::npos) continue;
      ++seen;
      INFO(path);
      const std::string lines = output_of("nm --extern-only --defined-only '" + path + "'");
      CHECK(!lines.empty());
      for (const std::string& name : shared_symbols(lines, is_avx2 ? "4Avx2" : "6Avx512")) FAIL_CHECK(name);
    }
    CHECK(seen >= 2);
  }
}

}  // namespace
}  // namespace gesso
