#include "core/device.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "core/allocator.h"
#include "core/error.h"
#include "core/thread_pool.h"

namespace gesso {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"reference", "cpu", "cuda", "emulated"};

// Ordinary memory; both the reference and the CPU kernels live here.
class HostDevice final : public Device {
 public:
  using Device::Device;

  void* allocate(std::size_t bytes) override {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    const bool large = bytes >= kHugePage;
    const std::size_t alignment = large ? kHugePage : 64;
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    // First touch costs 1-3 GB/s in small pages, up to 7 in large ones; a refusal costs nothing but that speed.
    if (memory && large) (void)madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
  }
  void release(void* memory, std::size_t) noexcept override { std::free(memory); }

  void copy_from_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void fill_bytes(void* to, std::byte value, std::size_t bytes) override {
    if (bytes != 0) std::memset(to, static_cast<int>(value), bytes);
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

struct Registry {
  std::array<std::unique_ptr<Device>, kNames.size()> devices;
  Registry() {
    for (DeviceKind kind : {DeviceKind::reference, DeviceKind::cpu})
      devices[static_cast<std::size_t>(kind)] = std::make_unique<HostDevice>(kind);
  }
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

Device& device(DeviceKind kind) {
  const auto& found = registry().devices[static_cast<std::size_t>(kind)];
  if (!found) fail("device {} is not available in this build on this machine; use --device cpu", name_of(kind));
  return *found;
}

void register_device(std::unique_ptr<Device> added) {
  auto& place = registry().devices[static_cast<std::size_t>(added->kind())];
  if (place) fail("device {} is registered already", added->name());
  place = std::move(added);
}

}  // namespace gesso
