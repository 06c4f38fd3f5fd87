// What the floors above need of a device: memory, copies, one addition, work that is recorded once and done again.
// Devices are registered once, at program start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "core/dtype.h"

namespace gesso {

class Allocator;

// reference: the rows' naive code on the CPU, in double where asked; the judge of all others.
enum class DeviceKind : std::uint8_t { reference, cpu, cuda, emulated };
std::string_view name_of(DeviceKind kind);
// Throws with the list of names on an unknown one.
DeviceKind device_kind(std::string_view name);

// Work of a device that was recorded: see Device::capture.
class Graph {
 public:
  Graph() = default;
  virtual ~Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  // Asks the device to do all of it again, over the same memory, after what it was asked before; does not wait.
  virtual void launch() = 0;
};

// A copy to the host that is under way.
class HostCopy {
 public:
  HostCopy() = default;
  virtual ~HostCopy() = default;
  HostCopy(const HostCopy&) = delete;
  HostCopy& operator=(const HostCopy&) = delete;
  virtual std::span<const std::byte> wait() = 0;  // until it is there; the bytes live as long as this does
};

class Device {
 public:
  explicit Device(DeviceKind kind);
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  std::string_view name() const { return name_of(kind_); }
  Allocator& allocator() const { return *allocator_; }

  // False for a dry device: one that has no memory and does nothing. It hands out addresses with nothing behind them,
  // leaves alone what it is asked to write, and where the host reads answers ones (of f32): what is asked of it shows,
  // through its allocator, what memory that work takes. See Execution (ops/op.h) for what kernels do with it.
  virtual bool computes() const { return true; }
  // A dry device of this kind. Throws where there is none.
  virtual std::unique_ptr<Device> dry() const;
  // How many bytes more could be taken now; the allocator's cache counts as taken.
  virtual std::size_t available_bytes() const;

  // Raw memory, aligned to at least 64 bytes; null where there is none left. The allocator's door, nobody else's.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* memory, std::size_t bytes) noexcept = 0;

  // A device does what it is asked in that order, and may do it later: who waits says so.
  virtual void copy_from_host(void* to, const void* from, std::size_t bytes) = 0;  // `from` was read when it returns
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;    // waits
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill_bytes(void* to, std::byte value, std::size_t bytes) = 0;
  // y += x, n elements of f32, or on the host f64: how the tape joins gradients. Throws on other types.
  virtual void accumulate(DType dtype, std::int64_t n, const void* x, void* y) = 0;
  virtual void synchronize() = 0;  // waits for all that was asked
  // n elements of f32, or on the host f64, each that value: where gradients start. Throws on other types.
  virtual void fill(DType dtype, std::int64_t n, double value, void* y) = 0;
  virtual std::unique_ptr<HostCopy> start_copy_to_host(const void* from, std::size_t bytes);

  // Whether capture() works. Where not, a step is asked for anew each time.
  virtual bool can_capture() const { return false; }
  // Runs `work`, which asks this device for things, without doing them: they become the graph. The memory that `work`
  // is given belongs to the graph as long as it lives, so tensors made there hold what the latest launch left in them.
  // Other memory that it uses must outlive the graph. Throws where the device cannot, and where `work` copies from or
  // to the host: what a graph does depends on the memory of its device alone.
  virtual std::unique_ptr<Graph> capture(const std::function<void()>& work);

 private:
  DeviceKind kind_;
  std::unique_ptr<Allocator> allocator_;
};

// The device of that kind. Throws, with what to do, where this build or machine has none.
Device& device(DeviceKind kind);
// Adds a device, which is made when device() is first asked for it; reference and cpu are there from the start. `make`
// throws, with what to do, where this machine cannot have it. Throws if one of the kind is registered.
void register_device(DeviceKind kind, std::function<std::unique_ptr<Device>()> make);

}  // namespace gesso
