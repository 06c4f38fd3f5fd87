// The widest pieces in which bytes may be moved: 1, 2, 4, 8 or 16 bytes, by where they lie.
#pragma once

#include <bit>
#include <cstdint>

namespace gesso::cuda {

// Divides each of these: sizes, steps and addresses, in bytes.
template <class... Bytes>
constexpr int widest_unit(Bytes... bytes) {
  return 1 << std::countr_zero((std::uint64_t{16} | ... | static_cast<std::uint64_t>(bytes)));
}
inline std::uintptr_t address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

// Threads that share a row of so many units: a power of two, `most` at most.
constexpr int lanes_of(std::int64_t units, int most) {
  return units >= most ? most : static_cast<int>(std::bit_ceil(static_cast<std::uint64_t>(units < 1 ? 1 : units)));
}

}  // namespace gesso::cuda
