// Small kernels that show how the emulator runs what a kernel may use.
#pragma once

#include "cuda/build.h"

namespace gesso::probes {

constexpr int kBlock = 128;

// Device pointers throughout; n is a multiple of kBlock unless said otherwise.
void add_scaled(cu::Stream stream, float scale, const float* x, float* y, int n);  // y += scale x, any n
void reverse_blocks(cu::Stream stream, const float* x, float* y, int n);           // each kBlock elements backwards
void reverse_warps(cu::Stream stream, const float* x, float* y, int n);            // each 32 elements backwards
void sum_blocks(cu::Stream stream, const float* x, float* sums, int n);            // sums[n / kBlock]
void count_positive(cu::Stream stream, const int* x, int* count, int n);           // count += how many are above 0
// y[i]: of the 32 elements of its warp, x of the lane below, above, across, and of lane 3, added up.
void shuffle(cu::Stream stream, const float* x, float* y, int n);
void write_from(cu::Stream stream, float* y, int first, int n);  // y[first + i] = i
void divide(cu::Stream stream, const int* x, int* y, int n);     // y = 100 / x, any n
void recurse(cu::Stream stream, const int* x, int* y, int n);    // without end where x is not 0
void use_shared(cu::Stream stream, float* y, unsigned bytes);    // y[i] from `bytes` of dynamic shared memory
// y = x^T [32,32] through shared memory, whose rows are 32 elements long, or 33.
void transpose(cu::Stream stream, const float* x, float* y, bool padded);
void copy_strided(cu::Stream stream, const float* x, float* y, int stride);  // y[stride i] = x[i], kBlock elements
void block_of(cu::Stream stream, unsigned threads);  // does nothing, in blocks of that many threads

}  // namespace gesso::probes
