// Kernels with one mistake each: what the emulator must find. Lines that it must name carry the comment `bug: NAME`.
#pragma once

#include <span>

#include "core/dtype.h"
#include "cuda/build.h"

namespace gesso::bugs {

constexpr int kBlock = 128;

// The right answer of each is y[i] = x[j] with the elements of each block of kBlock backwards.
struct Bug {
  const char* name;
  void (*run)(cu::Stream stream, const float* x, float* y, int n);
};
std::span<const Bug> block_bugs();

// c = a a^T by a producer that copies tiles and a warp group that multiplies them; a [128,k], c [64,128], k a multiple
// of 64. Bug 0 is none.
struct PipelineBug {
  const char* name;
  int number;
};
std::span<const PipelineBug> pipeline_bugs();
void run_pipeline(cu::Stream stream, const bf16* a, float* c, int k, int bug);

}  // namespace gesso::bugs
