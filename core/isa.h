// Which instruction set the CPU kernels use: the best that the machine has, or what GESSO_ISA or a test says.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace gesso {

enum class Isa : std::uint8_t { baseline, avx2, avx512 };

std::string_view name_of(Isa isa);
// Throws with the list of names on an unknown one.
Isa isa_named(std::string_view name);
// All that this machine can run, worst first; never empty.
std::span<const Isa> supported_isas();
// The one in use. Throws if GESSO_ISA names none, or one that the machine cannot run.
Isa isa();
// Throws if the machine cannot run it.
void set_isa(Isa isa);

// One value of three, by ISA: how a kernel table compiled once an ISA is chosen at run time.
template <class T>
T by_isa(Isa isa, T baseline, T avx2, T avx512) {
  return isa == Isa::avx512 ? avx512 : isa == Isa::avx2 ? avx2 : baseline;
}

}  // namespace gesso
