// What an epilogue may apply to a finished sum. Plain C, for the kernels' sake.
#pragma once

#include <stdint.h>

namespace gesso {

enum class Activation : uint8_t { none, relu, silu };

}  // namespace gesso
