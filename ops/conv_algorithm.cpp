#include "ops/conv_algorithm.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "core/error.h"

namespace gesso {
namespace {

constexpr std::string_view kNames[] = {"auto", "direct", "winograd2", "winograd4"};

thread_local std::optional<ConvAlgorithm> scoped;

}  // namespace

std::string_view name_of(ConvAlgorithm algorithm) { return kNames[static_cast<std::size_t>(algorithm)]; }

ConvAlgorithm conv_algorithm_named(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == std::end(kNames))
    fail("unknown convolution algorithm '{}'; choose one of: {}", name, fmt::join(kNames, ", "));
  return static_cast<ConvAlgorithm>(found - std::begin(kNames));
}

ConvAlgorithm conv_algorithm() {
  static const ConvAlgorithm of_process = [] {
    const char* given = std::getenv("GESSO_CONV_ALGORITHM");
    return given == nullptr ? ConvAlgorithm::automatic : conv_algorithm_named(given);
  }();
  return scoped.value_or(of_process);
}

ConvAlgorithmScope::ConvAlgorithmScope(ConvAlgorithm algorithm) : before_(std::exchange(scoped, algorithm)) {}
ConvAlgorithmScope::~ConvAlgorithmScope() { scoped = before_; }

}  // namespace gesso
