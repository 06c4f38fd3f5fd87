// What cu::launch of nvcc's build does where the driver refuses: without fmt, which nvcc would have to read.
#pragma once

namespace gesso::cu {

// Throws gesso::Error with the module at work. kernel may be null.
[[noreturn]] void fail_launch(const char* kernel, const char* reason);

}  // namespace gesso::cu
