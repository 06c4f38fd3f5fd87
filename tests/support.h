// What tests share.
#pragma once

#include <cstdint>
#include <filesystem>

namespace gesso {

// The seed of this run's random cases: `gesso_tests --seed N` or the variable GESSO_TEST_SEED, else 1. The first call
// prints it. Throws on a value that is not a whole number.
std::uint64_t test_seed();

// The tree that these tests were built from.
std::filesystem::path source_directory();

}  // namespace gesso
