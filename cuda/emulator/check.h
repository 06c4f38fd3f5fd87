// The checker's parts: shared memory, device memory, all other memory, and the costs of accesses. It does what
// compute-sanitizer's memcheck, racecheck and initcheck do on a device, of kernels compiled with -fsanitize=thread:
// the compiler calls __tsan_read4(p) and the like before each load and store, and hooks.cpp answers.
#pragma once

#include <string_view>

#include "cuda/emulator/scheduler.h"

namespace gesso::emulator {

void check_shared(Block& block, std::size_t offset, std::size_t bytes, Access access, Site site);
void forget_shadow(Block& block);
void set_in_flight(Block& block, std::size_t offset, std::size_t bytes, bool on);

void check_device(std::size_t offset, std::size_t bytes, Access access, Site site);
void set_usable(std::size_t offset, std::size_t bytes, bool on);

// Notes an access of the current thread for access_costs(); closes the warp's requests.
void record_access(const void* memory, std::size_t bytes, bool shared, bool store, Site site);
void close_requests(unsigned warp);

}  // namespace gesso::emulator
