// How a convolution on the CPU is computed: a choice by call, or for all calls of a thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gesso {

// automatic: what a cost model chooses, by shape and instruction set. winograd2, winograd4: F(2x2,3x3) and F(4x4,3x3)
// for kernels of 3x3 with stride and dilation 1; winograd4 also F(4x4,2x2) for kernels of 4x4 with stride 2. Other
// convolutions run direct all the same.
enum class ConvAlgorithm : std::uint8_t { automatic, direct, winograd2, winograd4 };

std::string_view name_of(ConvAlgorithm algorithm);  // "auto", "direct", "winograd2", "winograd4"
// Throws with the list of names on an unknown one.
ConvAlgorithm conv_algorithm_named(std::string_view name);
// What is meant by calls of this thread that say `automatic`: what the innermost scope says; outside of scopes
// GESSO_CONV_ALGORITHM, or `automatic`. Throws if that variable names none.
ConvAlgorithm conv_algorithm();

// While it lives, `algorithm` is what calls of its thread mean that say `automatic`, whatever GESSO_CONV_ALGORITHM
// says. A backward pass is a call of its own. One that says `direct` makes a pixel of the result depend on the pixels
// that the kernel sees alone, bit for bit: Winograd rounds by a pixel's place among tiles, and a plan depends on the
// whole shape.
class ConvAlgorithmScope {
 public:
  explicit ConvAlgorithmScope(ConvAlgorithm algorithm);
  ~ConvAlgorithmScope();
  ConvAlgorithmScope(const ConvAlgorithmScope&) = delete;
  ConvAlgorithmScope& operator=(const ConvAlgorithmScope&) = delete;

 private:
  std::optional<ConvAlgorithm> before_;
};

}  // namespace gesso
