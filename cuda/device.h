// A device that runs the kernels of this folder: a GPU, or the emulator.
#pragma once

#include "core/device.h"
#include "cuda/runtime.h"

namespace gesso::cuda {

class CudaDevice final : public Device {
 public:
  CudaDevice(DeviceKind kind, const Runtime& runtime);
  ~CudaDevice() override;

  const Runtime& runtime() const { return runtime_; }
  cu::Stream stream() const { return nullptr; }  // where all work of the device goes

  void* allocate(std::size_t bytes) override;
  void release(void* memory, std::size_t bytes) noexcept override;
  void copy_from_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override;
  void accumulate(DType dtype, std::int64_t n, const void* x, void* y) override;
  void synchronize() override;

 private:
  const Runtime& runtime_;
};

}  // namespace gesso::cuda
