#include "core/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/dry_device.h"
#include "core/error.h"
#include "core/host_memory.h"
#include "core/thread_pool.h"

namespace gesso {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"reference", "cpu", "cuda", "emulated"};

// Ordinary memory; both the reference and the CPU kernels live here.
class HostDevice final : public Device {
 public:
  using Device::Device;

  void* allocate(std::size_t bytes) override {
    void* const memory = bytes >= kLargePage ? map_large(bytes) : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory != nullptr) fault_in(memory, bytes);
    return memory;
  }
  void release(void* memory, std::size_t bytes) noexcept override {
    bytes >= kLargePage ? unmap_large(memory, bytes) : std::free(memory);
  }
  std::unique_ptr<Device> dry() const override {
    return std::make_unique<DryDevice>(kind(), DryAddresses::Backing::lazy);
  }

  void copy_from_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override {
    if (bytes != 0) std::memset(to, static_cast<int>(value), bytes);
  }
  void fill(DType dtype, std::int64_t n, double value, void* y) override {
    switch (dtype) {
      case DType::f32:
        std::fill_n(static_cast<float*>(y), n, static_cast<float>(value));
        return;
      case DType::f64:
        std::fill_n(static_cast<double*>(y), n, value);
        return;
      default:
        fail("{}: elements of type {} cannot be filled with a number", name(), name_of(dtype));
    }
  }
  void accumulate(DType dtype, std::int64_t n, const void* x, void* y) override {
    switch (dtype) {
      case DType::f32:
        return add<float>(n, x, y);
      case DType::f64:
        return add<double>(n, x, y);
      default:
        fail("{}: gradients of type {} cannot be added", name(), name_of(dtype));
    }
  }
  void synchronize() override {}

 private:
  template <class T>
  static void add(std::int64_t n, const void* from, void* to) {
    const T* x = static_cast<const T*>(from);
    T* y = static_cast<T*>(to);
    parallel_for(thread_pool(), n, 1 << 16, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] += x[i];
    });
  }
};

// Of a device that copies when it is asked.
class FinishedCopy final : public HostCopy {
 public:
  FinishedCopy(Device& device, const void* from, std::size_t bytes) : bytes_(bytes) {
    device.copy_to_host(bytes_.data(), from, bytes);
  }
  std::span<const std::byte> wait() override { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

struct Registry {
  struct Place {
    std::function<std::unique_ptr<Device>()> make;
    std::unique_ptr<Device> device;
  };
  std::mutex mutex;
  std::array<Place, kNames.size()> places;
  Registry() {
    for (DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu})
      at(kind).device = std::make_unique<HostDevice>(kind);
  }
  Place& at(DeviceKind kind) { return places[static_cast<std::size_t>(kind)]; }
};

// Never destroyed: tensors with static storage may outlive any order of destruction.
Registry& registry() {
  static auto* all = new Registry;
  return *all;
}

}  // namespace

std::string_view name_of(DeviceKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

DeviceKind device_kind(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<DeviceKind>(i);
  fail("unknown device '{}'; known are {}", name, fmt::join(kNames, ", "));
}

Device::Device(DeviceKind kind) : kind_(kind), allocator_(std::make_unique<Allocator>(*this)) {}
Device::~Device() = default;

std::unique_ptr<Device> Device::dry() const { fail("device {} cannot say what memory work takes", name()); }
std::size_t Device::available_bytes() const { return available_host_bytes(); }
std::unique_ptr<HostCopy> Device::start_copy_to_host(const void* from, std::size_t bytes) {
  return std::make_unique<FinishedCopy>(*this, from, bytes);
}
std::unique_ptr<Graph> Device::capture(const std::function<void()>&) {
  fail("device {} cannot record what it is asked", name());
}

Device& device(DeviceKind kind) {
  const std::lock_guard lock(registry().mutex);
  Registry::Place& place = registry().at(kind);
  if (!place.device && !place.make) fail("device {} is not part of this build; use --device cpu", name_of(kind));
  if (!place.device) place.device = place.make();
  return *place.device;
}

void register_device(DeviceKind kind, std::function<std::unique_ptr<Device>()> make) {
  const std::lock_guard lock(registry().mutex);
  Registry::Place& place = registry().at(kind);
  if (place.device || place.make) fail("device {} is registered already", name_of(kind));
  place.make = std::move(make);
}

}  // namespace gesso
