// The fuzzer's door: gesso_fuzz TARGET [OPTIONS of libFuzzer] [FOLDER]..., gesso_fuzz --targets lists the targets,
// gesso_fuzz --seeds FOLDER writes the seeds of each into FOLDER/TARGET.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "core/error.h"
#include "tests/fuzz_targets.h"

namespace {

void (*run)(std::span<const std::byte>) = nullptr;

void write_seeds(const std::filesystem::path& folder) {
  for (const gesso::FuzzTarget& target : gesso::fuzz_targets()) {
    std::filesystem::create_directories(folder / target.name);
    int number = 0;
    for (const std::string& seed : target.seeds())
      std::ofstream(folder / target.name / fmt::format("seed-{:03}", number++), std::ios::binary) << seed;
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {
  const std::string_view first = *count > 1 ? (*words)[1] : "";
  if (first == "--targets") {
    for (const gesso::FuzzTarget& target : gesso::fuzz_targets()) fmt::print("{}\n", target.name);
    std::exit(0);
  }
  if (first == "--seeds" && *count == 3) {
    write_seeds((*words)[2]);
    std::exit(0);
  }
  try {
    run = gesso::fuzz_target(first).run;
  } catch (const gesso::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    std::exit(2);
  }
  std::rotate(*words + 1, *words + 2, *words + *count);
  --*count;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, std::size_t size) {
  run(std::as_bytes(std::span(bytes, size)));
  return 0;
}
