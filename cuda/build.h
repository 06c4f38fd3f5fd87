// What a kernel's host header names of CUDA, without CUDA's headers: the two builds of each .cu file, and a stream.
#pragma once

namespace gesso::cu {

// Tags of the two compilers that make kernels of one source: nvcc for the device, g++ for the emulator. In a .cu file
// cuda/cu.h says which one is at work: cu::Build. Both builds live in one program.
struct Cuda;
struct Emulated;

// A stream of either: a cudaStream_t, or the emulator's; null is the default stream.
struct StreamHandle;
using Stream = StreamHandle*;

}  // namespace gesso::cu
