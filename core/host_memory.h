// The host's memory: how much of it this process may still take, and large pieces of it.
#pragma once

#include <cstddef>
#include <string_view>

namespace gesso {

constexpr std::size_t kLargePage = std::size_t{2} << 20;

// At least `bytes`, in large pages where the system has them; null where it refuses. unmap_large takes the same number.
void* map_large(std::size_t bytes);
void unmap_large(void* memory, std::size_t bytes) noexcept;

// Has the system put pages behind fresh memory now, so that no kernel waits for one at its first touch, which for the
// scratch of a thread may come many steps later. A system that cannot (Linux before 5.14) puts them there when touched.
void fault_in(void* memory, std::size_t bytes) noexcept;

// The least of what the system says is available (MemAvailable), what the process's control groups leave, and what
// `ulimit -v` and `ulimit -d` leave. Everything if none of them can be read.
std::size_t available_host_bytes();

// The same from the texts of /proc/meminfo; of a control group's memory.max, memory.current and memory.stat, where
// cached files count as left. No limit: the largest number.
std::size_t available_of_meminfo(std::string_view meminfo);
std::size_t left_in_group(std::string_view max, std::string_view current, std::string_view stat);

}  // namespace gesso
