// Kernels that do one thing many times: what emulation of it costs.
#pragma once

#include "cuda/build.h"

namespace gesso::emulator {

constexpr int kCostBlock = 256;  // threads

void run_empty(cu::Stream stream, int blocks);
void run_axpy(cu::Stream stream, int blocks, const float* x, float* y);  // kCostBlock elements a block
void run_barriers(cu::Stream stream, int count);                         // one block
void run_shuffles(cu::Stream stream, int count, float* y);               // one block, y[kCostBlock]
void run_mma(cu::Stream stream, int count, float* y);                    // one block, y[kCostBlock]

}  // namespace gesso::emulator
