// ldmatrix and mma.sync of bf16, done for a whole warp by the last lane to arrive.
#pragma once

#include <cstdint>

#include "cuda/emulator/execution.h"

namespace gesso::emulator {

// Loads four 8x8 matrices of 16-bit elements; `row` is this lane's row address: lanes 8i..8i+7 give matrix i's rows.
void ldmatrix_x4(std::uint32_t (&registers)[4], const void* row, bool transposed, const Place& place);
// D(16x8) += A(16x16) B(16x8)
void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1, const Place& place);

}  // namespace gesso::emulator
