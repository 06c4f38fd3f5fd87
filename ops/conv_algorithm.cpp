#include "ops/conv_algorithm.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>

#include "core/error.h"

namespace gesso {
namespace {

constexpr std::string_view kNames[] = {"auto", "direct", "winograd2", "winograd4"};

std::atomic<ConvAlgorithm>& current() {
  static std::atomic<ConvAlgorithm> algorithm = [] {
    const char* given = std::getenv("GESSO_CONV_ALGORITHM");
    return given == nullptr ? ConvAlgorithm::automatic : conv_algorithm_named(given);
  }();
  return algorithm;
}

}  // namespace

std::string_view name_of(ConvAlgorithm algorithm) { return kNames[static_cast<std::size_t>(algorithm)]; }

ConvAlgorithm conv_algorithm_named(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == std::end(kNames))
    fail("unknown convolution algorithm '{}'; choose one of: {}", name, fmt::join(kNames, ", "));
  return static_cast<ConvAlgorithm>(found - std::begin(kNames));
}

ConvAlgorithm conv_algorithm() { return current().load(std::memory_order_relaxed); }

void set_conv_algorithm(ConvAlgorithm algorithm) { current().store(algorithm, std::memory_order_relaxed); }

}  // namespace gesso
