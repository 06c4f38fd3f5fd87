// What the entries of all families share: from an op's call to the kernels of its device.
#pragma once

#include <array>
#include <cstddef>

#include "cuda/build.h"
#include "ops/device_kernels.h"
#include "ops/op.h"

namespace gesso::cuda {

// The stream of a call's device.
cu::Stream stream_of(const Device& device);
inline cu::Stream stream_of(const Execution& run) { return stream_of(run.device); }

// One family's kernels by device: set when they are registered, looked up by each call.
template <class Table>
class TableByDevice {
 public:
  void set(DeviceKind device, const Table& table) { tables_[static_cast<std::size_t>(device)] = &table; }
  const Table& of(const Device& device) const { return *tables_[static_cast<std::size_t>(device.kind())]; }
  const Table& of(const Execution& run) const { return of(run.device); }

 private:
  static constexpr std::size_t kKinds = static_cast<std::size_t>(DeviceKind::emulated) + 1;  // the last of them
  std::array<const Table*, kKinds> tables_{};
};

// The elements of an operand; null where it is absent.
template <class T>
T* pointer(const Tensor& t) {
  return t ? t.data<T>().data() : nullptr;
}

}  // namespace gesso::cuda
