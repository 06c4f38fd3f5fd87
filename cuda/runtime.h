// The lowest layer of a device: what is asked of CUDA, or of the emulator in its place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/build.h"

namespace gesso::cuda {

struct Runtime {
  void* (*allocate)(std::size_t bytes);  // null where there is none left
  void (*release)(void* memory);
  // Between any two of host and device, after what the stream holds; returns when it is done.
  void (*copy)(cu::Stream stream, void* to, const void* from, std::size_t bytes);
  void (*fill)(cu::Stream stream, void* to, std::byte value, std::size_t bytes);
  void (*synchronize)(cu::Stream stream);
  std::uint64_t (*launches)();  // of kernels, since the program started
};

const Runtime& emulated_runtime();

}  // namespace gesso::cuda
