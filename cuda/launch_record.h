// What cu::launch of nvcc's build does besides: without fmt, which nvcc would have to read.
#pragma once

#include <cstdint>
#include <source_location>

namespace gesso::cu {

// Throws gesso::Error with the op at work. kernel may be null.
[[noreturn]] void fail_launch(const char* kernel, const char* reason,
                              const std::source_location& place = std::source_location::current());
void count_launch();
std::uint64_t launches();  // since the program started

}  // namespace gesso::cu
