// Memory that runs out: one allocation of this process fails, or all from that one on, whoever asks: our own code, the
// C++ library, or a C library such as libpng. Not in builds with the thread sanitizer.
#pragma once

#include <cstdint>

namespace gesso {

enum class OutOfMemory : std::uint8_t { once, from_then_on };

// While it lives, the allocation of that number fails, counted from 0 in all threads together. One at a time.
class FailingMemory {
 public:
  FailingMemory(std::int64_t number, OutOfMemory how);
  ~FailingMemory();
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;

  // How many allocations were refused since the last one began to live.
  static std::int64_t refused();
};

}  // namespace gesso
