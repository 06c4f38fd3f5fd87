#include "cuda/device.h"

#include "core/allocator.h"
#include "core/error.h"
#include "cuda/binary.h"

namespace gesso::cuda {

CudaDevice::CudaDevice(DeviceKind kind, const Runtime& runtime) : Device(kind), runtime_(runtime) {}

// What the allocator still keeps goes back while there is a runtime to give it to.
CudaDevice::~CudaDevice() { allocator().trim(); }

void* CudaDevice::allocate(std::size_t bytes) { return runtime_.allocate(bytes); }
void CudaDevice::release(void* memory, std::size_t) noexcept { runtime_.release(memory); }

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes != 0) runtime_.copy(stream(), to, from, bytes);
}
void CudaDevice::fill_bytes(void* to, std::byte value, std::size_t bytes) {
  if (bytes != 0) runtime_.fill(stream(), to, value, bytes);
}

void CudaDevice::accumulate(DType dtype, std::int64_t n, const void* x, void* y) {
  if (dtype != DType::f32) fail("{}: gradients of type {} cannot be added", name(), name_of(dtype));
  add_to(*this, n, static_cast<const float*>(x), static_cast<float*>(y));
}

void CudaDevice::synchronize() { runtime_.synchronize(stream()); }

}  // namespace gesso::cuda
