// What the floors above need of a device: memory, copies, one addition. Devices are registered once, at program start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "core/dtype.h"

namespace gesso {

class Allocator;

// reference: the rows' naive code on the CPU, in double where asked; the judge of all others.
enum class DeviceKind : std::uint8_t { reference, cpu, cuda, emulated };
std::string_view name_of(DeviceKind kind);
// Throws with the list of names on an unknown one.
DeviceKind device_kind(std::string_view name);

class Device {
 public:
  explicit Device(DeviceKind kind);
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  std::string_view name() const { return name_of(kind_); }
  Allocator& allocator() const { return *allocator_; }

  // Raw memory, aligned to at least 64 bytes; null where there is none left. The allocator's door, nobody else's.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory, std::size_t bytes) noexcept = 0;

  virtual void copy_from_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill_bytes(void* to, std::byte value, std::size_t bytes) = 0;
  // y += x, n elements of f32, bf16 or f64: how the tape joins gradients.
  virtual void accumulate(DType dtype, std::int64_t n, const void* x, void* y) = 0;
  virtual void synchronize() = 0;  // returns when all that was asked of the device is done

 private:
  DeviceKind kind_;
  std::unique_ptr<Allocator> allocator_;
};

// The device of that kind. Throws, with what to do, where this build or machine has none.
Device& device(DeviceKind kind);
// Adds a device; reference and cpu are there from the start. Throws if one of its kind is.
void register_device(std::unique_ptr<Device> added);

}  // namespace gesso
