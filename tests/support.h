// What tests share.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/device.h"

namespace gesso {

// The seed of this run's random cases: `gesso_tests --seed N` or the variable GESSO_TEST_SEED, else 1. The first call
// prints it. Throws on a value that is not a whole number.
std::uint64_t test_seed();

// The device that tests of kernels and of recorded steps run on: `gesso_tests --device cuda` or the variable
// GESSO_TEST_DEVICE, else the emulated one.
DeviceKind test_device();

// The tree that these tests were built from.
std::filesystem::path source_directory();

}  // namespace gesso
