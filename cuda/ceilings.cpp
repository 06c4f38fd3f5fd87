#include "cuda/ceilings.h"

#include "cuda/entry.h"

namespace gesso::cuda {
namespace {
TableByDevice<CeilingKernels> tables;
}  // namespace

void register_ceilings(DeviceKind device, const CeilingKernels& kernels) { tables.set(device, kernels); }
const CeilingKernels& ceilings_of(const Device& device) { return tables.of(device); }

}  // namespace gesso::cuda
