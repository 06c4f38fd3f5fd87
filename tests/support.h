// What tests share.
#pragma once

#include <cstdint>

namespace gesso {

// The seed of this run's random cases: `gesso_tests --seed N` or the variable GESSO_TEST_SEED, else 1. The first call
// prints it. Throws on a value that is not a whole number.
std::uint64_t test_seed();

}  // namespace gesso
