// How a convolution on the CPU is computed: a choice for comparisons, by call or for the whole process.
#pragma once

#include <cstdint>
#include <string_view>

namespace gesso {

// automatic: what a cost model chooses, by shape and instruction set. winograd2, winograd4: F(2x2,3x3) and F(4x4,3x3)
// for kernels of 3x3 with stride and dilation 1; winograd4 also F(4x4,2x2) for kernels of 4x4 with stride 2. Other
// convolutions run direct all the same.
enum class ConvAlgorithm : std::uint8_t { automatic, direct, winograd2, winograd4 };

std::string_view name_of(ConvAlgorithm algorithm);  // "auto", "direct", "winograd2", "winograd4"
// Throws with the list of names on an unknown one.
ConvAlgorithm conv_algorithm_named(std::string_view name);
// What calls stand for that say `automatic`: that, or what GESSO_CONV_ALGORITHM or a test says. Throws if
// GESSO_CONV_ALGORITHM names none.
ConvAlgorithm conv_algorithm();
void set_conv_algorithm(ConvAlgorithm algorithm);

}  // namespace gesso
