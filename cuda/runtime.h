// The lowest layer of a device: what is asked of CUDA, or of the emulator in its place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/build.h"

namespace gesso::cuda {

// A mark in a stream, and the recorded work of one: of CUDA, or of the emulator.
struct EventHandle;
using Event = EventHandle*;
struct RecordedHandle;
using Recorded = RecordedHandle*;

// A stream does its work in order; only what is said to wait waits for it. Whatever is refused is an Error.
struct Runtime {
  void* (*allocate)(std::size_t bytes);  // null where there is none left
  void (*release)(void* memory);
  std::size_t (*available)();                                        // bytes that are left
  void (*set_usable)(void* memory, std::size_t bytes, bool usable);  // Allocator's Watch; null where nobody checks
  void* (*allocate_host)(std::size_t bytes);  // page-locked, so that copies go on beside the host; null likewise
  void (*release_host)(void* memory);

  cu::Stream (*make_stream)();
  void (*drop_stream)(cu::Stream stream);
  Event (*make_event)();
  Event (*make_timed_event)();  // one that seconds() can be asked of
  void (*drop_event)(Event event);
  void (*record)(Event event, cu::Stream stream);
  void (*wait)(Event event);                  // until the stream has come to where it was recorded last
  double (*seconds)(Event begin, Event end);  // of the device, between two that were waited for
  void (*synchronize)(cu::Stream stream);     // waits for all of its work

  // Memory of the host must be of allocate_host, and stay as it is until the stream has come here.
  void (*copy)(cu::Stream stream, void* to, const void* from, std::size_t bytes);
  void (*fill)(cu::Stream stream, void* to, std::byte value, std::size_t bytes);

  // Between the two, work that is submitted to the stream is recorded, not done.
  void (*begin_capture)(cu::Stream stream);
  Recorded (*end_capture)(cu::Stream stream);
  void (*launch)(Recorded recorded, cu::Stream stream);
  void (*drop)(Recorded recorded);

  std::uint64_t (*launches)();  // of kernels; on CUDA those recorded count once, their replays do not
};

const Runtime& emulated_runtime();

}  // namespace gesso::cuda
