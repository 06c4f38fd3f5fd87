// A device that runs the kernels of this folder: a GPU, or the emulator.
#pragma once

#include "core/device.h"
#include "cuda/runtime.h"
#include "cuda/staging.h"

namespace gesso::cuda {

class CudaDevice : public Device {
 public:
  CudaDevice(DeviceKind kind, const Runtime& runtime);
  ~CudaDevice() override;

  const Runtime& runtime() const { return runtime_; }
  cu::Stream stream() const { return stream_; }  // where all work of the device goes

  std::unique_ptr<Device> dry() const override;
  std::size_t available_bytes() const override { return runtime_.available(); }
  void* allocate(std::size_t bytes) override;
  void release(void* memory, std::size_t bytes) noexcept override;
  void copy_from_host(void* to, const void* from, std::size_t bytes) override;
  void copy_to_host(void* to, const void* from, std::size_t bytes) override;
  std::unique_ptr<HostCopy> start_copy_to_host(const void* from, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override;
  void fill(DType dtype, std::int64_t n, double value, void* y) override;
  void accumulate(DType dtype, std::int64_t n, const void* x, void* y) override;
  void synchronize() override;
  bool can_capture() const override { return true; }
  std::unique_ptr<Graph> capture(const std::function<void()>& work) override;

 private:
  void refuse_while_capturing(const char* what) const;

  const Runtime& runtime_;
  cu::Stream stream_;
  Staging staging_;
  bool capturing_ = false;
};

}  // namespace gesso::cuda
