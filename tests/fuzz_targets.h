// Every reader of files that nobody should have to trust, behind one door: bytes go in, and come out read or refused by
// the right error. tools/fuzz drives them by clang's fuzzer, and tests/fuzz_test.cpp by a few changes of the seeds.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gesso {

struct FuzzTarget {
  std::string_view name;
  // Throws what is not an Error of the kind that the reader promises, and on promises that are not kept.
  void (*run)(std::span<const std::byte> bytes);
  // Small files to start from, good ones and such as were found to be troublesome.
  std::vector<std::string> (*seeds)();
};

std::span<const FuzzTarget> fuzz_targets();
// Throws ErrorKind::usage, naming all, where there is none of that name.
const FuzzTarget& fuzz_target(std::string_view name);

}  // namespace gesso
