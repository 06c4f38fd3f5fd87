#include "cuda/entry.h"

#include "cuda/device.h"

namespace gesso::cuda {

cu::Stream stream_of(const Device& device) { return static_cast<const CudaDevice&>(device).stream(); }

}  // namespace gesso::cuda
