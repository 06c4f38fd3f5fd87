// A kernel bound to its arguments: what cu::launch hands to the emulator.
#pragma once

#include <tuple>
#include <utility>

#include "cuda/emulator/emulator.h"

namespace gesso::emulator {

template <class... Parameters>
class KernelCall final : public BoundKernel {
 public:
  using Kernel = void (*)(Parameters...);
  template <class... Arguments>
  explicit KernelCall(Kernel kernel, Arguments&&... arguments)
      : kernel_(kernel), arguments_(static_cast<Parameters>(std::forward<Arguments>(arguments))...) {}

  // Not instrumented: the arguments lie in the host's memory, which kernels may not touch.
  [[gnu::no_sanitize("thread")]] void run() const override { call(std::index_sequence_for<Parameters...>()); }
  const void* address() const override { return reinterpret_cast<const void*>(kernel_); }

 private:
  template <std::size_t... Index>
  [[gnu::no_sanitize("thread")]] void call(std::index_sequence<Index...>) const {
    kernel_(std::get<Index>(arguments_)...);
  }

  Kernel kernel_;
  std::tuple<Parameters...> arguments_;
};

}  // namespace gesso::emulator
