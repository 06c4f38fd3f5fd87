#include "core/isa.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <vector>

#include "core/error.h"

namespace gesso {
namespace {

constexpr Isa kAll[] = {Isa::baseline, Isa::avx2, Isa::avx512};

// The levels x86-64-v3 and v4 of the x86-64 psABI are what -march=haswell and -march=skylake-avx512 may emit; the
// builtin also asks the operating system whether it saves the wide registers.
bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("x86-64-v3") != 0;
    case Isa::avx512:
      return __builtin_cpu_supports("x86-64-v4") != 0;
  }
  return false;
}

std::vector<std::string_view> names(std::span<const Isa> isas) {
  std::vector<std::string_view> result;
  for (const Isa isa : isas) result.push_back(name_of(isa));
  return result;
}

Isa checked(Isa isa, std::string_view who) {
  if (std::ranges::find(supported_isas(), isa) == supported_isas().end())
    fail("{}: this machine cannot run {}; choose one of: {}", who, name_of(isa),
         fmt::join(names(supported_isas()), ", "));
  return isa;
}

Isa from_environment() {
  const char* given = std::getenv("GESSO_ISA");
  if (given == nullptr) return supported_isas().back();
  return checked(isa_named(given), "GESSO_ISA");
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = from_environment();
  return isa;
}

}  // namespace

std::string_view name_of(Isa isa) {
  constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<std::size_t>(isa)];
}

Isa isa_named(std::string_view name) {
  for (const Isa isa : kAll)
    if (name_of(isa) == name) return isa;
  fail("unknown instruction set '{}'; choose one of: {}", name, fmt::join(names(supported_isas()), ", "));
}

std::span<const Isa> supported_isas() {
  static const std::vector<Isa> supported = [] {
    std::vector<Isa> result;
    std::ranges::copy_if(kAll, std::back_inserter(result), machine_has);
    return result;
  }();
  return supported;
}

Isa isa() { return current().load(std::memory_order_relaxed); }

void set_isa(Isa isa) { current().store(checked(isa, "set_isa"), std::memory_order_relaxed); }

}  // namespace gesso
