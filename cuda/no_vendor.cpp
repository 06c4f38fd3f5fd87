// In place of cuda/vendor/ in builds without NVIDIA's libraries.
#include "cuda/devices.h"

namespace gesso {

bool has_vendor() { return false; }
VendorCalls vendor_calls(const RowInfo&, const Attributes&, const Forward&) { return {}; }
VendorCalls vendor_calls(const RowInfo&, const Attributes&, const Backward&) { return {}; }

}  // namespace gesso
