#include "core/rng.h"

namespace gesso {
namespace {

// splitmix64's finaliser (Steele, Lea and Flood 2014): each input bit moves about half of the output's.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t random_key(std::uint64_t seed, Purpose purpose, std::string_view site, std::uint64_t call) {
  constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio: sets successive inputs apart
  std::uint64_t hash = mix(seed + kGolden);
  hash = mix(hash + kGolden + static_cast<std::uint64_t>(purpose));
  for (const char c : site) hash = mix(hash + kGolden + static_cast<unsigned char>(c));
  hash = mix(hash + kGolden + site.size());
  return mix(hash + kGolden + call);
}

}  // namespace gesso
