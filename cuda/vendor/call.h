// What calls of NVIDIA's libraries share. Only benchmarks make them: the option GESSO_VENDOR.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/tensor.h"

namespace gesso::cuda::vendor {

// How products of f32 may be computed: as such, or by tensor cores that round each factor to 10 bits behind the point.
enum class Precision { fp32, tf32 };

// A handle of a C library with the function that gives it back.
template <auto kDestroy>
struct Destroy {
  template <class T>
  void operator()(T* handle) const {
    (void)kDestroy(handle);
  }
};
template <class T, auto kDestroy>
using Owned = std::unique_ptr<T, Destroy<kDestroy>>;

// What a library may use besides the operands.
class Workspace {
 public:
  static constexpr std::size_t kBytes = std::size_t{32} << 20;

  explicit Workspace(Device& device) : memory_({{kBytes + kAlignment}, DType::u8}, device) {}
  void* data() const {
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(memory_.bytes());
    return memory_.bytes() + (kAlignment - begin % kAlignment) % kAlignment;
  }

 private:
  static constexpr std::size_t kAlignment = 256;  // as cudaMalloc's; our allocator promises 64
  Tensor memory_;
};

}  // namespace gesso::cuda::vendor
