// A device that has no memory and does nothing: see Device::computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/allocator.h"
#include "core/device.h"

namespace gesso {

// Addresses of a dry device.
class DryAddresses {
 public:
  // none: nothing lies there, so the processor ends who touches them; for tests. lazy: where the system spares the
  // address space, there are pages that appear when they are touched, so that a kernel that forgets what a dry device
  // is costs memory and no run.
  enum class Backing : std::uint8_t { none, lazy };

  explicit DryAddresses(Backing backing);
  ~DryAddresses();
  DryAddresses(const DryAddresses&) = delete;
  DryAddresses& operator=(const DryAddresses&) = delete;
  void* take(std::size_t bytes);

 private:
  std::byte* pages_ = nullptr;
  std::size_t taken_ = 0;
};

// What a dry device answers the host.
void answer_ones(void* to, std::size_t bytes);

// In place of the CPU, or of the reference.
class DryDevice final : public Device {
 public:
  DryDevice(DeviceKind kind, DryAddresses::Backing backing) : Device(kind), addresses_(backing) {}
  ~DryDevice() override { allocator().trim(); }

  bool computes() const override { return false; }
  void* allocate(std::size_t bytes) override { return addresses_.take(bytes); }
  void release(void*, std::size_t) noexcept override {}
  void copy_from_host(void*, const void*, std::size_t) override {}
  void copy_to_host(void* to, const void*, std::size_t bytes) override { answer_ones(to, bytes); }
  void copy(void*, const void*, std::size_t) override {}
  void fill_bytes(void*, std::byte, std::size_t) override {}
  void accumulate(DType, std::int64_t, const void*, void*) override {}
  void synchronize() override {}
  void fill(DType, std::int64_t, double, void*) override {}

 private:
  DryAddresses addresses_;
};

}  // namespace gesso
