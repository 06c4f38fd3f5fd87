// Memory of the device under test, for kernels that a test launches itself. The emulator's own allocations end where
// they were asked to, so that it sees an access behind them.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "tests/emulated_device.h"
#include "tests/support.h"

namespace gesso {

template <class T>
class TestedMemory {
 public:
  // All ones: NaN as floating point.
  explicit TestedMemory(std::size_t count) {
    if (test_device() == DeviceKind::emulated) {
      emulated_ = std::make_unique<EmulatedMemory<T>>(count);
      return;
    }
    tensor_ = Tensor({{static_cast<std::int64_t>(count)}, dtype_of<T>}, device(test_device()));
    tensor_.device().fill_bytes(tensor_.bytes(), std::byte{0xFF}, tensor_.spec().bytes());
  }
  explicit TestedMemory(const std::vector<T>& values) {
    if (test_device() == DeviceKind::emulated)
      emulated_ = std::make_unique<EmulatedMemory<T>>(values);
    else
      tensor_ = Tensor::from_host<T>(values, {std::ssize(values)}, device(test_device()));
  }
  T* data() const { return emulated_ ? emulated_->data() : reinterpret_cast<T*>(tensor_.bytes()); }
  std::vector<T> to_host() const { return emulated_ ? emulated_->to_host() : tensor_.template to_host<T>(); }

 private:
  std::unique_ptr<EmulatedMemory<T>> emulated_;
  Tensor tensor_;
};

}  // namespace gesso
